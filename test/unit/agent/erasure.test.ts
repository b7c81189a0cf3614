/** What happens to the versions when a subject is erased. */

import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/agent/events/event-log.js';
import type { LoopEvent } from '../../../src/agent/events/types.js';
import { HoneError } from '../../../src/errors.js';
import type { ReplayStore } from '../../../src/replay/index.js';
import type { Version } from '../../../src/versions/index.js';
import { descendants } from '../../../src/versions/index.js';
import { type LoopOptions, openLoop } from '../../support/agent/loop.js';
import { untilAborted } from '../../support/agent/scripted-policy.js';
import { admission } from '../../support/replay/records.js';
import { until } from '../../support/until.js';

it('counts versions that were trained from a version, or serve it again, as its descendants', () => {
  const parents = [null, 0, 1, 0, 2, 3, 5];
  const versions = parents.map((parent, number) => ({ number, parent }) as Version);
  expect(descendants(versions, [])).toEqual([]);
  expect(descendants(versions, [1])).toEqual([1, 2, 4]);
  expect(descendants(versions, [5, 2])).toEqual([2, 4, 5, 6]);
});

/** Versions 1 to 3, each trained from the one before. The second one learned from the subject `ann`. */
async function openTaught(options: LoopOptions = {}) {
  const loop = await openLoop(untilAborted, 1000, {}, options);
  for (const number of [1, 2, 3]) {
    await loop.offerCandidate(number / 10);
    await loop.nextEvent('version_promoted');
  }
  await loop.replay.admit([admission('a', { subject: 'ann' }), admission('b', { subject: 'bob' })]);
  await loop.replay.recordLessons([
    { generationId: 'a', version: 2 },
    { generationId: 'b', version: 1 },
  ]);
  return loop;
}

it('names the versions that learned from erased data, and lets them serve, without retraining', async () => {
  await using loop = await openTaught();
  expect(await loop.agent.eraseSubject('ann', false)).toMatchObject({
    generations: 1,
    versions: [2, 3],
    live: null,
    removedWeights: [],
  });
  expect(loop.versions.live().number).toBe(3);
  expect(loop.learner.told.at(-1)).toBe('erased');
  const { numbers, detail } = await loop.nextEvent('subject_erased');
  const which = { erasure: 1, started_at_ms: expect.any(Number) };
  const figures = { generations: 1, scores: 0, preferences: 0, prompts: 0, versions: 2, log_cleared: 1 };
  expect(numbers).toEqual({ ...which, ...figures });
  expect(detail).toBeUndefined();
});

it('serves the newest clean weights with retraining, removes the others, and lets the learner begin again', async () => {
  await using loop = await openTaught();
  const { versions, live, removedWeights } = await loop.agent.eraseSubject('ann', true);
  expect(versions).toEqual([2, 3]);
  expect(live).toMatchObject({ number: 4, origin: 'rollback', parent: 1 });
  expect(removedWeights).toEqual([2, 3]);
  expect(loop.versions.list().map(({ weights }) => weights)).toEqual(['kept', 'kept', 'removed', 'removed', 'kept']);
  expect(loop.learner.told.slice(-3)).toEqual(['erased', 'live 4 adapter rolled back', 'relearn']);
});

it('retrains also for data that was erased earlier without retraining', async () => {
  await using loop = await openTaught();
  await loop.agent.eraseSubject('ann', false);
  expect(await loop.agent.eraseSubject('nobody', true)).toMatchObject({
    versions: [],
    live: { parent: 1 },
    removedWeights: [2, 3],
  });
});

it('ends the running requests of an erased subject, but not those of others', async () => {
  await using loop = await openTaught();
  const input = (subject: string) => ({ prompt: 'hello', subject, sampling: { maxTokens: 1000 } });
  const hers = loop.agent.generate(input('ann'))[Symbol.asyncIterator]();
  const his = loop.agent.generate(input('bob'))[Symbol.asyncIterator]();
  await hers.next();
  await his.next();
  await loop.agent.eraseSubject('ann', false);
  const rest = async (): Promise<void> => {
    for (let next = await hers.next(); next.done !== true; next = await hers.next());
  };
  await expect(rest()).rejects.toMatchObject({ code: 'CANCELLED' });
  expect((await his.next()).done).toBe(false);
  await his.return?.();
  expect(await loop.replay.status()).toMatchObject({ generations: 2, running: 1 });
});

it('refuses to erase the empty subject', async () => {
  await using loop = await openTaught();
  await expect(loop.agent.eraseSubject('', false)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
});

/** Events that outlive the run that published them, as those of a server do. */
class KeptEvents {
  readonly kept: LoopEvent[] = [];

  /** The log of the next run. */
  open(): EventLog {
    const journal = {
      restored: [...this.kept],
      lastSequence: this.kept.at(-1)?.sequence ?? 0,
      append: (event: LoopEvent) => void this.kept.push(event),
      close: () => undefined,
    };
    return new EventLog({ journal, now: () => 0 });
  }

  count(type: LoopEvent['type']): number {
    return this.kept.filter((event) => event.type === type).length;
  }
}

describe('an erasure with retraining that was cut off', () => {
  /** What was done of it, beyond the removal of the data, before the server was killed. */
  const cuts: readonly (readonly [string, (replay: ReplayStore, id: number) => Promise<void>])[] = [
    ['after the removal of the data', async () => undefined],
    ['after its event was recorded as published', (replay, id) => replay.noteErasure({ id, reported: true })],
  ];

  it.each(cuts)('%s, is completed by the next start, once', async (_, cut) => {
    const events = new KeptEvents();
    const first = await openTaught({ agent: { events: events.open() } });
    const { id } = await first.replay.eraseSubject('ann', true);
    await cut(first.replay, id);
    const published = (await first.replay.unsettledErasures())[0]?.reported === true ? 0 : 1;
    await first[Symbol.asyncDispose]();
    for (const start of [1, 2, 3]) {
      await using loop = await openLoop(
        untilAborted,
        1000,
        {},
        { folder: first.folder, agent: { events: events.open() } },
      );
      await loop.agent.settleErasures();
      expect(loop.versions.live()).toMatchObject({ number: 4, origin: 'rollback', parent: 1 });
      expect(loop.versions.list().map(({ weights }) => weights)).toEqual([
        'kept',
        'kept',
        'removed',
        'removed',
        'kept',
      ]);
      expect(events.count('subject_erased')).toBe(published);
      // The learner is told again at each start until it reports that its checkpoint holds the command.
      expect(loop.learner.told.filter((told) => told === 'relearn')).toHaveLength(start < 3 ? 1 : 0);
      await loop.agent.settleErasures();
      expect(loop.learner.told.filter((told) => told === 'relearn')).toHaveLength(start < 3 ? 1 : 0);
      if (start === 2) {
        loop.learner.emit({ type: 'relearned', upTo: 1 });
        await until(async () => (await loop.replay.unsettledErasures()).length === 0, 'the erasure is done');
      }
    }
  });

  it('between its event and the record of it, does not publish the event again', async () => {
    const events = new KeptEvents();
    const first = await openTaught({ agent: { events: events.open() } });
    const { noteErasure } = first.replay;
    // The run ends before anything is recorded.
    first.replay.noteErasure = () => new Promise(() => undefined);
    void first.agent.eraseSubject('ann', true);
    await until(() => events.count('subject_erased') === 1, 'the event is published');
    first.replay.noteErasure = noteErasure;
    await first.replay.close();
    await first.versions.close();
    await using loop = await openLoop(
      untilAborted,
      1000,
      {},
      { folder: first.folder, agent: { events: events.open() } },
    );
    await loop.agent.settleErasures();
    expect(loop.versions.live()).toMatchObject({ parent: 1 });
    expect(events.count('subject_erased')).toBe(1);
  });

  it('after the versions were taken back, makes no further version', async () => {
    const first = await openTaught();
    await first.agent.eraseSubject('ann', true);
    await first.replay.noteErasure({ id: 1, retrain: { from: 'learner', to: 'versions' } });
    await first[Symbol.asyncDispose]();
    await using loop = await openLoop(untilAborted, 1000, {}, { folder: first.folder });
    await loop.agent.settleErasures();
    expect(loop.versions.list()).toHaveLength(5);
    expect(await loop.replay.unsettledErasures()).toMatchObject([{ retrain: 'learner' }]);
  });

  it('of data that nothing was learned from leaves nothing to do', async () => {
    await using loop = await openLoop(untilAborted);
    await loop.replay.admit([admission('a', { subject: 'ann' })]);
    expect(await loop.agent.eraseSubject('ann', true)).toMatchObject({ generations: 1, live: null });
    expect(await loop.replay.unsettledErasures()).toEqual([]);
    expect(loop.learner.told).not.toContain('relearn');
  });
});

it('an erasure whose versions cannot be taken back now is reported, and completed when they can', async () => {
  await using loop = await openTaught();
  const { promote } = loop.versions;
  loop.versions.promote = () => Promise.reject(new HoneError('STORE_FULL', 'no room'));
  await expect(loop.agent.eraseSubject('ann', true)).rejects.toMatchObject({ code: 'STORE_FULL' });
  expect(loop.versions.live().number).toBe(3);
  expect(await loop.replay.status()).toMatchObject({ generations: 1 });
  const { detail } = await loop.nextEvent('version_failed');
  expect(detail).toContain('an erasure could not be completed yet: STORE_FULL');
  loop.versions.promote = promote;
  await until(() => loop.versions.live().origin === 'rollback', 'the clean weights serve');
  await until(() => loop.learner.told.includes('relearn'), 'the learner is told to learn again');
});

it('a version that learned from erased data and is offered afterwards is rejected, if retraining was asked for', async () => {
  await using loop = await openTaught();
  await loop.agent.eraseSubject('ann', true);
  await loop.offerCandidate(0.5, {}, 4, ['a']);
  const rejected = await loop.nextEvent('version_rejected');
  expect(rejected).toMatchObject({ version: 5, detail: 'it learned from data that was erased' });
  await until(() => loop.learner.told.filter((told) => told === 'relearn').length === 2, 'the learner is told again');
});
