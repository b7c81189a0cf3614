/** EventService: what happens in the loop, from any place that is still kept. */

import { Metadata } from '@grpc/grpc-js';
import type { Event } from '../../proto/generated/hone/v1/Event.js';
import type { EventServiceHandlers } from '../../proto/generated/hone/v1/EventService.js';
import type { EventType } from '../../proto/generated/hone/v1/EventType.js';
import type { WatchEventsRequest__Output } from '../../proto/generated/hone/v1/WatchEventsRequest.js';
import type { Agent, LoopEvent, LoopEventType } from '../../src/agent/index.js';
import { type ReportError, serverStream } from './calls.js';

export function eventHandlers(agent: Agent, report: ReportError): EventServiceHandlers {
  return {
    WatchEvents: serverStream(
      report,
      async function* ({ afterSequence, types }: WatchEventsRequest__Output, signal, call) {
        const wanted = types.flatMap((type) => typesByName.get(type) ?? []);
        const watched = agent.watchEvents({ afterSequence, types: wanted }, signal);
        // The first event may be long in coming; the metadata tells the caller that it is being served.
        call.sendMetadata(new Metadata());
        for await (const events of watched) yield { events: events.map(toProtoEvent) };
      },
    ),
  };
}

const names: Readonly<Record<LoopEventType, EventType>> = {
  server_started: 'EVENT_TYPE_SERVER_STARTED',
  server_draining: 'EVENT_TYPE_SERVER_DRAINING',
  learner_state_changed: 'EVENT_TYPE_LEARNER_STATE_CHANGED',
  learner_progress: 'EVENT_TYPE_LEARNER_PROGRESS',
  learner_setback: 'EVENT_TYPE_LEARNER_SETBACK',
  learner_starved: 'EVENT_TYPE_LEARNER_STARVED',
  version_created: 'EVENT_TYPE_VERSION_CREATED',
  version_promoted: 'EVENT_TYPE_VERSION_PROMOTED',
  version_rejected: 'EVENT_TYPE_VERSION_REJECTED',
  version_rolled_back: 'EVENT_TYPE_VERSION_ROLLED_BACK',
  version_failed: 'EVENT_TYPE_VERSION_FAILED',
  eviction_failed: 'EVENT_TYPE_EVICTION_FAILED',
  worker_restarted: 'EVENT_TYPE_WORKER_RESTARTED',
  store_failed: 'EVENT_TYPE_STORE_FAILED',
  version_judged: 'EVENT_TYPE_VERSION_JUDGED',
  canary_started: 'EVENT_TYPE_CANARY_STARTED',
  canary_ended: 'EVENT_TYPE_CANARY_ENDED',
  mode_changed: 'EVENT_TYPE_MODE_CHANGED',
  shadow_started: 'EVENT_TYPE_SHADOW_STARTED',
  shadow_ended: 'EVENT_TYPE_SHADOW_ENDED',
  adapters_removed: 'EVENT_TYPE_ADAPTERS_REMOVED',
  replay_evicted: 'EVENT_TYPE_REPLAY_EVICTED',
  subject_erased: 'EVENT_TYPE_SUBJECT_ERASED',
  learner_engine_opened: 'EVENT_TYPE_LEARNER_ENGINE_OPENED',
  rater_failed: 'EVENT_TYPE_RATER_FAILED',
};

const typesByName = new Map(
  Object.entries(names).map(([type, name]) => [name as string | number, type as LoopEventType]),
);

function toProtoEvent(event: LoopEvent): Event {
  const { sequence, atMs, type, version, adapterDigest, detail, numbers } = event;
  return {
    sequence,
    atMs,
    type: names[type],
    adapterDigest: adapterDigest ?? '',
    detail: detail ?? '',
    numbers: { ...numbers },
    ...(version === undefined ? {} : { version }),
  };
}
