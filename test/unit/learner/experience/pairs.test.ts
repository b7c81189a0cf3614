/** Preferences, edits and removals in the learner's buffer. */

import { expect, test } from 'vitest';
import { type BufferOptions, ExperienceBuffer } from '../../../../src/learner/experience/buffer.js';
import { generationsOf } from '../../../../src/learner/experience/entries.js';
import { sampleGroups } from '../../../../src/learner/experience/sampler.js';
import { createRandom } from '../../../../src/learner/random.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';
import { Database } from '../../../../src/sqlite/index.js';
import { decoder, openExperience } from '../../../support/learner/experience.js';
import { editWrite, preferenceWrite, scoreWrite } from '../../../support/replay/records.js';

function newBuffer(over: Partial<BufferOptions> = {}): ExperienceBuffer {
  return new ExperienceBuffer({ packageDigest: 'package', decoder, holdoutShare: 0, maxStaleness: 3, ...over });
}

/** The rewards of the pairs, by tokens. */
function pairs(buffer: ExperienceBuffer): Record<string, number>[] {
  const found = [...buffer.groups.values()].filter(({ kind }) => kind === 'preference');
  return found.map(({ members }) =>
    Object.fromEntries([...members.values()].map((m) => [m.completionTokens.join(), m.reward])),
  );
}

const two = [
  { id: 'a', tokens: [1] },
  { id: 'b', tokens: [2] },
];

test('a preference is a pair whose rewards differ by a half, in whichever order its completions are named', async () => {
  const { add, store, reader } = await openExperience();
  const buffer = newBuffer();
  await add(two);
  await store.write([preferenceWrite('b', 'a', 'worse')]);
  buffer.sync(reader, 0);
  expect(pairs(buffer)).toEqual([{ 1: 0.25, 2: -0.25 }]);
  expect([buffer.ledger.fresh, buffer.scoresSeen]).toEqual([2, 1]);
  await store.write([preferenceWrite('a', 'b', 'tie')]);
  buffer.sync(reader, 0);
  expect(pairs(buffer)).toEqual([{ 1: 0, 2: 0 }]);
  await store.write([preferenceWrite('a', 'b', null)]);
  buffer.sync(reader, 0);
  expect(buffer.size).toBe(0);
});

test('the preferences of several raters on one pair are one pair, weighed by trust', async () => {
  const { add, store, reader } = await openExperience();
  const reward = checkRewardSettings({ raters: { expert: { trust: 3 }, troll: { trust: 0 } } });
  const buffer = newBuffer({ reward });
  await add(two);
  await store.write([
    preferenceWrite('a', 'b', 'better', { rater: 'expert' }),
    preferenceWrite('a', 'b', 'worse', { rater: 'ann' }),
    preferenceWrite('a', 'b', 'worse', { rater: 'troll' }),
  ]);
  buffer.sync(reader, 0);
  // The difference is (3 - 1) / 4 of the full one.
  expect(pairs(buffer)).toEqual([{ 1: 0.125, 2: -0.125 }]);
});

test('a pair waits for both completions, and two equal completions are no pair', async () => {
  const { add, store, reader } = await openExperience();
  const { admission, completion } = await import('../../../support/replay/records.js');
  const buffer = newBuffer();
  await add([{ id: 'a', tokens: [1] }]);
  await store.admit([admission('b', { groupKey: 'g', packageDigest: 'package' })]);
  await store.write([preferenceWrite('a', 'b', 'better')]);
  buffer.sync(reader, 0);
  expect(buffer.size).toBe(0);
  const tokens = Uint32Array.of(2);
  const logprobs = new Float32Array(1);
  await store.complete([completion('b', { tokens, logprobs, sampledLogprobs: logprobs })]);
  buffer.sync(reader, 0);
  expect(pairs(buffer)).toEqual([{ 1: 0.25, 2: -0.25 }]);
  await add([
    { id: 'c', tokens: [5] },
    { id: 'd', tokens: [5] },
  ]);
  await store.write([preferenceWrite('c', 'd', 'better')]);
  buffer.sync(reader, 0);
  expect(pairs(buffer)).toHaveLength(1);
});

test('a pair is used whole and no more often than the replay ratio, beside the scores of its completions', async () => {
  const { add, store, reader } = await openExperience();
  const buffer = newBuffer();
  await add(two.map((sample) => ({ ...sample, reward: 1 })));
  await store.write([preferenceWrite('a', 'b', 'better')]);
  buffer.sync(reader, 0);
  const settings = { groupsPerStep: 8, groupSize: 8, newestShare: 0.5, replayRatio: 2 };
  const drawn = [1, 2, 3].map((seed) => sampleGroups(buffer, settings, createRandom(seed)).map((g) => g.length));
  expect(drawn).toEqual([[2, 2], [2, 2], []]);
  expect([...buffer.uses().keys()].flatMap(generationsOf).sort()).toEqual(['a', 'a', 'a', 'b', 'b', 'b']);
  // A group of scores may be cut to single completions. A pair may not.
  const whole = newBuffer();
  whole.sync(reader, 0);
  const sizes = sampleGroups(whole, { ...settings, groupSize: 1 }, createRandom(5)).map((group) => group.length);
  expect(sizes.sort()).toEqual([1, 2]);
  const again = newBuffer({ restored: { uses: buffer.uses() } });
  again.sync(reader, 0);
  expect(sampleGroups(again, settings, createRandom(4))).toEqual([]);
});

test('an edit trains with its score, and without a log-probability, because no version sampled it', async () => {
  const { add, store, reader } = await openExperience();
  const buffer = newBuffer();
  await add([{ id: 'a', tokens: [1], reward: 0 }]);
  await store.write([editWrite('e', 'a', 'ok', 1)]);
  buffer.sync(reader, 0);
  const members = [...(buffer.groups.get('g')?.members.values() ?? [])];
  expect(members.map((m) => [m.reward, m.behaviourLogprob])).toEqual([
    [0, 0],
    [1, null],
  ]);
});

test('a default reward is read when its window closes, without a change in the store', async () => {
  const { add, store, reader } = await openExperience();
  await add([{ id: 'a', tokens: [1] }]);
  const end = (await store.readGenerations(['a']))[0]?.finishedAtMs ?? 0;
  const reward = checkRewardSettings({ metrics: { click: { windowMs: 1000, default: 0 } } });
  let now = end;
  const buffer = newBuffer({ reward, now: () => now });
  buffer.sync(reader, 0);
  expect([buffer.size, buffer.pending.size, buffer.pending.nextDueAtMs]).toEqual([0, 1, end + 1000]);
  buffer.beginRound();
  now = end + 1000;
  buffer.sync(reader, 0);
  expect([buffer.size, buffer.pending.size, buffer.pending.nextDueAtMs, buffer.ledger.fresh]).toEqual([1, 0, null, 1]);
});

test('a generation that was removed from the store is forgotten, with the pairs that it was in', async () => {
  const { add, store, reader, path } = await openExperience();
  const buffer = newBuffer();
  await add([...two, { id: 'c', tokens: [3], reward: 1 }]);
  await store.write([preferenceWrite('a', 'b', 'better'), scoreWrite('b', 1)]);
  buffer.sync(reader, 0);
  expect(buffer.size).toBe(4);
  const database = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  database.exec("DELETE FROM generations WHERE id = 'b'; INSERT INTO changes (type) VALUES ('removed');");
  database.close();
  buffer.sync(reader, 0);
  expect([...buffer.entries.keys()]).toEqual(['c']);
  expect(buffer.removals).toBe(1);
});

test('relearning makes everything fresh and unused', async () => {
  const { add, reader } = await openExperience();
  const buffer = newBuffer();
  await add(two.map((sample) => ({ ...sample, reward: 1 })));
  buffer.sync(reader, 0);
  buffer.beginRound();
  for (const member of buffer.entries.values()) member.uses = 3;
  buffer.ledger.relearn();
  expect(buffer.ledger.fresh).toBe(2);
  expect(buffer.uses().size).toBe(0);
});
