/** What happens to events and generations while the store refuses writes. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EventLog } from '../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../src/agent/events/types.js';
import { StoreOutage } from '../../../src/agent/store-outage.js';
import { HoneError } from '../../../src/errors.js';
import { openReplayStore } from '../../../src/replay/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion } from '../../support/replay/records.js';
import { until } from '../../support/until.js';

async function openOutage(maxFileBytes?: number) {
  const folder = temporaryFolder();
  const path = join(folder, 'replay.sqlite');
  const replay = await openReplayStore({ path, ...(maxFileBytes === undefined ? {} : { maxFileBytes }) });
  const published: LoopEvent[] = [];
  const journal = {
    restored: [],
    lastSequence: 0,
    append: (event: LoopEvent) => void published.push(event),
    close: () => undefined,
  };
  const events = new EventLog({ now: () => 0, journal });
  return {
    replay,
    published,
    outage: new StoreOutage({ replay, events, now: () => 7 }),
    async [Symbol.asyncDispose]() {
      await replay.close();
    },
  };
}

const full = new HoneError('STORE_FULL', 'no room');

it('marks generations aborted once a write succeeds if the store was full at their end', async () => {
  await using opened = await openOutage(256 * 1024);
  const { replay, outage } = opened;
  await replay.admit([admission('g1'), admission('g2')]);
  const large = [completion('g1', { text: 'x'.repeat(400 * 1024) })];
  const refused = await replay.complete(large).catch((error: HoneError) => error);
  expect(refused).toMatchObject({ code: 'STORE_FULL' });
  outage.endsNotWritten(['g1'], refused as HoneError);
  expect((await replay.readGenerations(['g1']))[0]?.state).toBe('running');
  await outage.writeSucceeded();
  expect(await replay.readGenerations(['g1', 'g2'])).toMatchObject([
    { state: 'aborted', finishReason: 'error', finishedAtMs: 7, text: '' },
    { state: 'running' },
  ]);
});

it('tries an end again that is refused again, but not one whose generation was erased', async () => {
  await using opened = await openOutage();
  const { replay, outage } = opened;
  await replay.admit([admission('g1')]);
  const { complete } = replay;
  replay.complete = () => Promise.reject(full);
  outage.endsNotWritten(['gone', 'g1'], full);
  await outage.writeSucceeded();
  replay.complete = complete;
  await outage.writeSucceeded();
  expect((await replay.readGenerations(['g1']))[0]?.state).toBe('aborted');
});

it('reports a store that refuses writes once, and again after a write succeeded', async () => {
  await using opened = await openOutage();
  const { outage, published } = opened;
  outage.writeFailed(full);
  outage.writeFailed(full);
  outage.endsNotWritten(['g1'], full);
  expect(published).toMatchObject([{ type: 'store_failed', detail: 'STORE_FULL: no room' }]);
  await outage.writeSucceeded();
  outage.writeFailed(full);
  expect(published).toHaveLength(2);
});

it('keeps no answers from a refusal of the store until a write succeeds, but those that a lock delays', async () => {
  await using opened = await openOutage();
  const { outage } = opened;
  expect(outage.keepsAnswers).toBe(true);
  outage.writeFailed(full);
  expect(outage.keepsAnswers).toBe(false);
  await outage.writeSucceeded();
  expect(outage.keepsAnswers).toBe(true);
  outage.writeFailed(new HoneError('STORE_BUSY', 'locked'));
  expect(outage.keepsAnswers).toBe(true);
  outage.close();
});

it('gives the last known figures of a store that fails or does not answer, with the reason', async () => {
  await using opened = await openOutage();
  const { replay } = opened;
  const options = { replay, events: new EventLog({ now: () => 0 }), now: () => 0 };
  const outage = new StoreOutage({ ...options, statusWithinMs: 600_000 });
  const { status } = replay;
  replay.status = () => Promise.reject(new HoneError('STORE_CORRUPT', 'damaged'));
  expect(await outage.status()).toMatchObject([{ generations: 0, maxBytes: null }, { code: 'STORE_CORRUPT' }]);
  await replay.admit([admission('g1')]);
  replay.status = status;
  expect(await outage.status()).toMatchObject([{ generations: 1 }, null]);
  replay.status = () => Promise.reject(new HoneError('WORKER_CRASHED', 'gone'));
  expect(await outage.status()).toMatchObject([{ generations: 1 }, { code: 'WORKER_CRASHED' }]);
  replay.status = () => new Promise(() => undefined);
  const hasty = new StoreOutage({ ...options, statusWithinMs: 1 });
  expect(await hasty.status()).toMatchObject([{ generations: 0 }, { code: 'DEADLINE_EXCEEDED' }]);
  replay.status = status;
  outage.writeFailed(full);
  expect((await outage.status())[1]).toBe(full);
  await outage.writeSucceeded();
});

it('finds out by itself when another program no longer holds the lock', async () => {
  await using opened = await openOutage();
  const { replay, outage, published } = opened;
  await replay.admit([admission('g1')]);
  const { complete } = replay;
  const busy = new HoneError('STORE_BUSY', 'locked');
  replay.complete = () => Promise.reject(busy);
  outage.endsNotWritten(['g1'], busy);
  expect(published).toMatchObject([{ type: 'store_failed', detail: 'STORE_BUSY: locked' }]);
  expect((await outage.status())[1]).toBe(busy);
  replay.complete = complete;
  await until(async () => (await outage.status())[1] === null, 'the store takes writes');
  await until(
    async () => (await replay.readGenerations(['g1']))[0]?.state === 'aborted',
    'the generation without an end is aborted',
  );
});

it('repeats a write that nobody waits for while another program holds the lock, until the server stops', async () => {
  await using opened = await openOutage();
  const { outage } = opened;
  const busy = new HoneError('STORE_BUSY', 'locked');
  let tries = 0;
  const write = async () => {
    tries += 1;
    if (tries === 1) throw busy;
    return tries;
  };
  expect(await outage.whenFree(write)).toBe(2);
  const hopeless = outage.whenFree(() => Promise.reject(busy));
  outage.close();
  await expect(hopeless).rejects.toBe(busy);
  await expect(outage.whenFree(() => Promise.reject(full))).rejects.toBe(full);
});

it('gives up a write that nobody waits for after four attempts', async () => {
  await using opened = await openOutage();
  const outage = new StoreOutage({
    replay: opened.replay,
    events: new EventLog({ now: () => 0 }),
    now: () => 0,
    tryEveryMs: 1,
  });
  const busy = new HoneError('STORE_BUSY', 'locked');
  let tries = 0;
  const write = () => {
    tries += 1;
    return Promise.reject(busy);
  };
  await expect(outage.whenFree(write)).rejects.toBe(busy);
  expect(tries).toBe(4);
  outage.close();
});
