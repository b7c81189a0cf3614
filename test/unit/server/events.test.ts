/** EventService: which types of events a caller can ask for. */

import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { serviceDefinition } from '../../../proto/contract.js';
import { eventHandlers } from '../../../server/grpc/events.js';
import type { Agent, LoopEvent, WatchOptions } from '../../../src/agent/index.js';
import { RawClient } from '../../support/raw-client.js';

const watched: WatchOptions[] = [];
const event: LoopEvent = { sequence: 1, atMs: 2, type: 'mode_changed', detail: 'auto' };
const agent: Pick<Agent, 'watchEvents' | 'lastEvent'> = {
  lastEvent: () => 41,
  async *watchEvents(options) {
    watched.push(options);
    yield [event];
  },
};

let server: Server;
let client: RawClient;
beforeEach(async () => {
  watched.length = 0;
  server = new Server();
  server.addService(serviceDefinition('EventService'), { ...eventHandlers(agent as Agent, () => undefined) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  client = new RawClient(`127.0.0.1:${port}`);
});
afterEach(() => {
  client.close();
  server.forceShutdown();
});

const watch = (types: readonly (string | number)[]) => client.call('EventService', 'WatchEvents', { types });

it('watches the types that the caller names, and answers with events of the contract', async () => {
  const answer = await watch(['EVENT_TYPE_MODE_CHANGED', 'EVENT_TYPE_VERSION_PROMOTED']);
  expect(answer.status.code).toBe(status.OK);
  expect(watched.map(({ types }) => types)).toEqual([['mode_changed', 'version_promoted']]);
  expect(answer.messages).toMatchObject([{ events: [{ sequence: 1, type: 'EVENT_TYPE_MODE_CHANGED' }] }]);
});

it('tells the caller after which event the watch begins, before there is another one', async () => {
  const { metadata } = await watch([]);
  expect(metadata.get('hone-last-event')).toEqual(['41']);
  expect(watched.map(({ afterSequence }) => afterSequence)).toEqual([41]);
});

it.each([
  ['a type of a later release', 9999],
  ['the unspecified type', 0],
])('refuses %s', async (_, type) => {
  const answer = await watch(['EVENT_TYPE_MODE_CHANGED', type]);
  expect(answer.status.code).toBe(status.INVALID_ARGUMENT);
  expect(answer.status.details).toContain('types');
  expect(watched).toEqual([]);
});
