/** How a generation is explained, from a real store: its lessons, obstacles and preferences. */

import { expect, it, onTestFinished } from 'vitest';
import { type ExplainSources, explainGeneration } from '../../../src/agent/explain.js';
import { openReplayStore, type ReplayStore } from '../../../src/replay/index.js';
import { checkRewardSettings } from '../../../src/reward/index.js';
import type { Version } from '../../../src/versions/types.js';
import { temporaryFolder } from '../../support/folders.js';
import { decoder } from '../../support/learner/experience.js';
import { admission, completion, scoreWrite } from '../../support/replay/records.js';

async function openStore(): Promise<ReplayStore> {
  const store = await openReplayStore({ path: `${temporaryFolder()}/replay.sqlite` });
  onTestFinished(() => store.close());
  return store;
}

function sourcesOf(replay: ReplayStore, over: Partial<ExplainSources> = {}): ExplainSources {
  return {
    replay,
    reward: checkRewardSettings(),
    rules: { packageDigest: 'package', decoder, maxStaleness: 2, holdoutShare: 0 },
    learning: true,
    setAsideBecause: () => undefined,
    liveVersion: 5,
    nowMs: 10_000,
    version: (number) => (number === 4 ? ({ number, state: 'live' } as Version) : undefined),
    ...over,
  };
}

async function addGeneration(store: ReplayStore, id: string, state: 'finished' | 'cancelled' = 'finished') {
  await store.admit([admission(id)]);
  await store.complete([completion(id, { state })]);
}

it('names the versions that learned from a generation, with their states', async () => {
  const store = await openStore();
  await addGeneration(store, 'a');
  await store.write([scoreWrite('a', 1)]);
  await store.recordLessons([
    { generationId: 'a', version: 9 },
    { generationId: 'a', version: 4 },
  ]);
  const { lessons, obstacles, fold } = await explainGeneration('a', sourcesOf(store));
  expect(lessons).toEqual([
    { version: 4, state: 'live' },
    { version: 9, state: undefined },
  ]);
  expect([obstacles, fold.reward]).toEqual([[], 1]);
});

it('names every reason why the learner does not train on a generation', async () => {
  const store = await openStore();
  await addGeneration(store, 'a');
  await addGeneration(store, 'b', 'cancelled');
  const obstacles = async (id: string, over: Partial<ExplainSources> = {}) =>
    (await explainGeneration(id, sourcesOf(store, over))).obstacles;
  expect(await obstacles('a')).toEqual(['no_feedback']);
  await store.write([scoreWrite('a', 1)]);
  const rules = { packageDigest: 'other', decoder, maxStaleness: 2, holdoutShare: 1 };
  expect(await obstacles('a', { liveVersion: 6, learning: false, rules })).toEqual([
    'other_package',
    'stale',
    'held_out',
    'learner_off',
  ]);
  expect(await obstacles('b')).toEqual(['cancelled', 'no_feedback']);
  const reward = checkRewardSettings({ metrics: { click: { windowMs: 60_000, default: 0 } } });
  expect(await obstacles('a', { reward })).toEqual(['pending']);
});

it('shows a preference from the side of the explained generation, which may train without a score', async () => {
  const store = await openStore();
  await addGeneration(store, 'a');
  await addGeneration(store, 'b');
  const { value: _, ...by } = scoreWrite('b', 1, { rater: 'troll' });
  await store.write([{ ...by, type: 'preference', otherId: 'a', outcome: 'better' }]);
  const asked = await explainGeneration('a', sourcesOf(store));
  expect(asked.preferences).toMatchObject([{ otherId: 'b', outcome: 'worse', rater: 'troll', trust: 1, weight: 1 }]);
  expect(asked.obstacles).toEqual([]);
  expect((await explainGeneration('b', sourcesOf(store))).preferences).toMatchObject([
    { otherId: 'a', outcome: 'better' },
  ]);
  const reward = checkRewardSettings({ raters: { troll: { trust: 0 } } });
  expect((await explainGeneration('a', sourcesOf(store, { reward }))).obstacles).toEqual(['no_feedback']);
});

it('refuses to explain a generation that is not stored', async () => {
  const store = await openStore();
  await expect(explainGeneration('x', sourcesOf(store))).rejects.toMatchObject({
    code: 'GENERATION_NOT_FOUND',
    violations: [{ field: 'generation_id' }],
  });
});

it('lists the newest thousand edits with their rewards, and reads a few of them at a time', async () => {
  const ids = Array.from({ length: 1100 }, (_, i) => `edit-${i}`);
  const generationOf = (id: string) => ({
    ...{ id, editOf: 'a', finishedAtMs: 1, origin: 'edit', state: 'finished' },
    ...{ tokens: [1], promptTokens: [1], logprobs: [], sampledLogprobs: [], packageDigest: 'package' },
  });
  let most = 0;
  const replay = {
    readGenerations: async (asked: readonly string[]) => {
      most = Math.max(most, asked.length);
      return asked.map(generationOf);
    },
    readScores: async (asked: readonly string[]) =>
      asked.map((generationId) => ({
        generationId,
        rater: 'r',
        metric: 'score',
        value: generationId === 'edit-1099' ? 1 : 0,
        createdAtMs: 2,
      })),
    readEdits: async () => ids,
    readPreferences: async () => [],
    readLessons: async () => [],
  } as unknown as ReplayStore;
  const { edits, editCount } = await explainGeneration('a', sourcesOf(replay));
  expect([edits.length, editCount, most]).toEqual([1000, 1100, 32]);
  expect([edits[0], edits.at(-1)]).toEqual([
    { generationId: 'edit-100', reward: 0 },
    { generationId: 'edit-1099', reward: 1 },
  ]);
});
