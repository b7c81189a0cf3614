/** Preferences, edits, lessons and recent prompts in the store, and a store of the first format. */

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { maxFeedbackOfGeneration } from '../../../src/replay/feedback-outcome.js';
import { openReplayReader, openReplayStore } from '../../../src/replay/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, editWrite, preferenceWrite, scoreWrite } from '../../support/replay/records.js';

async function openStore(path = join(temporaryFolder(), 'replay.sqlite')) {
  const store = await openReplayStore({ path });
  onTestFinished(() => store.close());
  return { store, path };
}

test('a preference replaces the one that names its two generations the other way round', async () => {
  const { store } = await openStore();
  await store.admit([admission('a'), admission('b')]);
  const outcomes = await store.write([
    preferenceWrite('b', 'a', 'better'),
    preferenceWrite('a', 'b', 'better'),
    preferenceWrite('a', 'b', 'tie', { rater: 'bob' }),
    preferenceWrite('b', 'a', null, { rater: 'bob' }),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['stored', 'replaced', 'stored', 'retracted']);
  const preference = { generationId: 'a', otherId: 'b', rater: 'ann', metric: 'quality', outcome: 'better' };
  expect(await store.readPreferences(['b'])).toMatchObject([preference]);
  expect(await store.readPreferences(['a', 'b'])).toHaveLength(1);
});

test('a preference between different prompts, or of a generation with itself, is refused', async () => {
  const { store } = await openStore();
  await store.admit([admission('a'), admission('b', { groupKey: 'other' })]);
  const outcomes = await store.write([
    preferenceWrite('a', 'b', 'better'),
    preferenceWrite('a', 'a', 'tie'),
    preferenceWrite('a', 'gone', 'tie'),
    scoreWrite('a', 1),
  ]);
  expect(outcomes.map((o) => (o.status === 'refused' ? o.code : o.status))).toEqual([
    'INVALID_REQUEST',
    'INVALID_REQUEST',
    'GENERATION_NOT_FOUND',
    'stored',
  ]);
});

test('an edit becomes a finished completion of the same prompt, with its score', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a')]);
  const [outcome] = await store.write([editWrite('e', 'a', 'Better.', 0.9, { idempotencyKey: 'k' })]);
  expect(outcome).toMatchObject({ status: 'stored', generationId: 'e' });
  const [edit] = await store.readGenerations(['e']);
  const { groupKey, promptTokens, promptJson, subject, version } = admission('a');
  expect(edit).toMatchObject({
    ...{ groupKey, promptTokens, promptJson, subject, version },
    origin: 'edit',
    editOf: 'a',
    state: 'finished',
    text: 'Better.',
    endOfSequence: true,
  });
  expect(await store.readScores(['e'])).toMatchObject([{ rater: 'ann', value: 0.9 }]);
  expect(await store.readEdits(['a'])).toEqual(['e']);
  // The same key gets the same answer; the same text is the same generation.
  const again = await store.write([
    editWrite('e2', 'a', 'Better.', 0.9, { idempotencyKey: 'k' }),
    editWrite('e3', 'a', 'Better.', 0.5),
    editWrite('e4', 'a', 'Other.', 0.9, { idempotencyKey: 'k' }),
  ]);
  expect(again).toMatchObject([
    { status: 'duplicate', generationId: 'e' },
    { status: 'replaced', generationId: 'e' },
    { status: 'refused', code: 'IDEMPOTENCY_CONFLICT' },
  ]);
  const reader = openReplayReader(path);
  expect(reader.readSince(0, 10).map(({ type }) => type)).toEqual(['generation', 'score', 'score']);
  reader.close();
});

test('lessons list the versions that learned from a generation, and skip unknown generations', async () => {
  const { store } = await openStore();
  await store.admit([admission('a'), admission('b')]);
  await store.recordLessons([
    { generationId: 'a', version: 4 },
    { generationId: 'a', version: 5 },
    { generationId: 'a', version: 4 },
    { generationId: 'gone', version: 4 },
  ]);
  expect(await store.readLessons(['a', 'b', 'gone'])).toEqual([
    { generationId: 'a', version: 4 },
    { generationId: 'a', version: 5 },
  ]);
});

test('recent prompts come from real traffic, the newest first, each once', async () => {
  const { store } = await openStore();
  const of = (groupKey: string, createdAtMs: number) => ({ groupKey, createdAtMs, promptJson: `"${groupKey}"` });
  await store.admit([
    admission('1', of('old', 1)),
    admission('2', of('new', 2)),
    admission('3', of('old', 3)),
    admission('4', { ...of('drawn', 4), origin: 'explored' }),
  ]);
  expect((await store.recentPrompts(5)).map(({ groupKey }) => groupKey)).toEqual(['old', 'new']);
  expect((await store.recentPrompts(1)).map(({ promptJson }) => promptJson)).toEqual(['"old"']);
});

test('opening a store of the first format upgrades it with all its data', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  copyFileSync('test/fixtures/replay-v1.sqlite', path);
  const { store } = await openStore(path);
  const id = (n: number) => `0193a000-0000-7000-8000-00000000000${n}`;
  const [first, second, third, fourth] = await store.readGenerations([1, 2, 3, 4].map(id));
  expect(first).toMatchObject({
    state: 'finished',
    origin: 'sampled',
    editOf: null,
    promptJson: '{"prompt":"What now?"}',
    metadataJson: '{"experiment":"a"}',
    promptTokens: Uint32Array.of(1, 2, 70000),
    text: 'Sleep on it.',
    tokens: Uint32Array.of(9, 4_000_000_000),
    subject: 'user-7',
  });
  expect(second).toMatchObject({ text: 'Wake up.', promptJson: first?.promptJson });
  expect(third).toMatchObject({ state: 'cancelled', promptJson: '{"messages":[{"role":"user","content":"Why?"}]}' });
  expect(third?.metadataJson).toBe('{}');
  expect(fourth?.state).toBe('aborted');
  expect((await store.readScores([id(1), id(2)])).map(({ rater, value }) => [rater, value])).toEqual([
    ['ann', 0.75],
    ['ann', 0.5],
  ]);
  expect(await store.status()).toMatchObject({ generations: 4, scores: 2, scoredGenerations: 2, lastSequence: 7 });
  // The old keys still answer, and new changes continue the old sequence numbers.
  const at = { createdAtMs: 1, rater: 'ann', metric: 'quality' };
  const outcomes = await store.write([
    scoreWrite(id(1), 0.75, { ...at, idempotencyKey: 'k1' }),
    scoreWrite(id(1), 0.5, { ...at, idempotencyKey: 'k1' }),
    preferenceWrite(id(1), id(2), 'better', at),
  ]);
  expect(outcomes).toMatchObject([
    { status: 'duplicate' },
    { status: 'refused', code: 'IDEMPOTENCY_CONFLICT' },
    { status: 'stored', sequence: 8 },
  ]);
  const reader = openReplayReader(path);
  expect(reader.readSince(0, 100).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  reader.close();
});

test('a generation has a bounded number of scores and preferences; those that it has can be replaced', async () => {
  const { store } = await openStore();
  await store.admit([admission('a'), admission('b')]);
  const raters = Array.from({ length: maxFeedbackOfGeneration }, (_, i) => `rater-${i}`);
  await store.write(raters.map((rater) => scoreWrite('a', 1, { rater })));
  await store.write(raters.map((rater) => preferenceWrite('b', 'a', 'better', { rater })));
  const outcomes = await store.write([
    scoreWrite('a', 1, { rater: 'one-more' }),
    scoreWrite('a', 0.5, { rater: 'rater-7' }),
    scoreWrite('b', 1, { rater: 'one-more' }),
    preferenceWrite('a', 'b', 'better', { rater: 'one-more' }),
    preferenceWrite('a', 'b', 'tie', { rater: 'rater-7' }),
    scoreWrite('a', null, { rater: 'rater-7' }),
    scoreWrite('a', 1, { rater: 'one-more' }),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual([
    'refused',
    'replaced',
    'stored',
    'refused',
    'replaced',
    'retracted',
    'stored',
  ]);
  expect(outcomes[0]).toMatchObject({ message: expect.stringContaining(`${maxFeedbackOfGeneration} scores`) });
});
