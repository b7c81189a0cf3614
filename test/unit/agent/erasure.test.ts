/** What happens to the versions when a subject is erased. */

import { expect, it } from 'vitest';
import type { Version } from '../../../src/versions/index.js';
import { descendants } from '../../../src/versions/index.js';
import { openLoop } from '../../support/agent/loop.js';
import { untilAborted } from '../../support/agent/scripted-policy.js';
import { admission } from '../../support/replay/records.js';

it('counts versions that were trained from a version, or serve it again, as its descendants', () => {
  const parents = [null, 0, 1, 0, 2, 3, 5];
  const versions = parents.map((parent, number) => ({ number, parent }) as Version);
  expect(descendants(versions, [])).toEqual([]);
  expect(descendants(versions, [1])).toEqual([1, 2, 4]);
  expect(descendants(versions, [5, 2])).toEqual([2, 4, 5, 6]);
});

/** Versions 1 to 3, each trained from the one before. The second one learned from the subject `ann`. */
async function openTaught() {
  const loop = await openLoop(untilAborted);
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
  expect(numbers).toEqual({ generations: 1, scores: 0, preferences: 0, prompts: 0, versions: 2, log_cleared: 1 });
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
