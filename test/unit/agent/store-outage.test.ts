import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EventLog } from '../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../src/agent/events/types.js';
import { StoreWatch } from '../../../src/agent/store-outage.js';
import { HoneError } from '../../../src/errors.js';
import { openReplayStore } from '../../../src/replay/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion } from '../../support/replay/records.js';

async function openWatch(maxFileBytes?: number) {
  const folder = temporaryFolder();
  const path = join(folder, 'replay.sqlite');
  const replay = await openReplayStore({ path, ...(maxFileBytes === undefined ? {} : { maxFileBytes }) });
  const published: LoopEvent[] = [];
  const journal = { restored: [], append: (event: LoopEvent) => void published.push(event), close: () => undefined };
  const events = new EventLog({ now: () => 0, journal });
  return {
    replay,
    published,
    watch: new StoreWatch({ replay, events, now: () => 7 }),
    async [Symbol.asyncDispose]() {
      await replay.close();
    },
  };
}

const full = new HoneError('STORE_FULL', 'no room');

it('generations whose end found the store full are aborted once a write succeeds', async () => {
  await using opened = await openWatch(256 * 1024);
  const { replay, watch } = opened;
  await replay.admit([admission('g1'), admission('g2')]);
  const large = [completion('g1', { text: 'x'.repeat(400 * 1024) })];
  const refused = await replay.complete(large).catch((error: HoneError) => error);
  expect(refused).toMatchObject({ code: 'STORE_FULL' });
  watch.unended(['g1'], refused as HoneError);
  expect((await replay.readGenerations(['g1']))[0]?.state).toBe('running');
  await watch.worked();
  expect(await replay.readGenerations(['g1', 'g2'])).toMatchObject([
    { state: 'aborted', finishReason: 'error', finishedAtMs: 7, text: '' },
    { state: 'running' },
  ]);
});

it('an end that is refused again is tried again, one whose generation is gone is not', async () => {
  await using opened = await openWatch();
  const { replay, watch } = opened;
  await replay.admit([admission('g1')]);
  const { complete } = replay;
  replay.complete = () => Promise.reject(full);
  watch.unended(['gone', 'g1'], full);
  await watch.worked();
  replay.complete = complete;
  await watch.worked();
  expect((await replay.readGenerations(['g1']))[0]?.state).toBe('aborted');
});

it('a store that refuses is told of once, and again when it refuses anew', async () => {
  await using opened = await openWatch();
  const { watch, published } = opened;
  watch.failed(full);
  watch.failed(full);
  watch.unended(['g1'], full);
  expect(published).toMatchObject([{ type: 'store_failed', detail: 'STORE_FULL: no room' }]);
  await watch.worked();
  watch.failed(full);
  expect(published).toHaveLength(2);
});
