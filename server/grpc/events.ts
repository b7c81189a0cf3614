/** EventService: streams the events of the learning loop, from any event that is still kept. */

import { Metadata } from '@grpc/grpc-js';
import { enumNames } from '../../proto/enum-names.js';
import type { Event } from '../../proto/generated/hone/v1/Event.js';
import type { EventServiceHandlers } from '../../proto/generated/hone/v1/EventService.js';
import type { EventType__Output } from '../../proto/generated/hone/v1/EventType.js';
import type { WatchEventsRequest__Output } from '../../proto/generated/hone/v1/WatchEventsRequest.js';
import type { Agent, LoopEvent, LoopEventType } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import { type ReportError, serverStream } from './calls.js';

/** Keeps a message far below what a client takes. */
const eventsPerMessage = 256;

export function eventHandlers(agent: Agent, report: ReportError): EventServiceHandlers {
  return {
    WatchEvents: serverStream(
      report,
      async function* ({ afterSequence, types }: WatchEventsRequest__Output, signal, call) {
        const after = afterSequence ?? agent.lastEvent();
        const watched = agent.watchEvents({ afterSequence: after, types: types.map(toEventType) }, signal);
        // The first event may take long. The metadata shows the caller at once that the call was accepted, and where to
        // continue if the connection is lost before the first event.
        const metadata = new Metadata();
        metadata.set('hone-last-event', String(after));
        call.sendMetadata(metadata);
        for await (const events of watched) {
          for (let from = 0; from < events.length; from += eventsPerMessage) {
            yield { events: events.slice(from, from + eventsPerMessage).map(toProtoEvent) };
          }
        }
      },
    ),
  };
}

/** @throws HoneError `INVALID_REQUEST` for a type that this server does not know */
function toEventType(value: EventType__Output): LoopEventType {
  const type = enumNames.EventType.toName(value);
  if (type !== undefined) return type;
  const description = `holds ${value}, which is no type of event that this server knows`;
  throw new HoneError('INVALID_REQUEST', `the request is invalid: types ${description}`, {
    violations: [{ field: 'types', description }],
  });
}

function toProtoEvent(event: LoopEvent): Event {
  const { sequence, atMs, type, version, adapterDigest, detail, numbers } = event;
  return {
    sequence,
    atMs,
    type: enumNames.EventType.toValue(type),
    adapterDigest: adapterDigest ?? '',
    detail: detail ?? '',
    numbers: { ...numbers },
    ...(version === undefined ? {} : { version }),
  };
}
