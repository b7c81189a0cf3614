/** Erasing the data of one subject. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Erasures } from '../../../src/replay/erasure.js';
import { ExportHistory } from '../../../src/replay/export-history.js';
import { openReplayReader, openReplayStore, type ReplayStoreOptions } from '../../../src/replay/index.js';
import { ReplayWriter } from '../../../src/replay/writer.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, editWrite, preferenceWrite, scoreWrite } from '../../support/replay/records.js';

async function openStore(options: Partial<ReplayStoreOptions> = {}) {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const store = await openReplayStore({ path, ...options });
  onTestFinished(() => store.close());
  return { store, path };
}

/** Names of the files, of the store and beside it, that contain any of these bytes. */
function filesWith(path: string, needles: readonly Buffer[]): string[] {
  return readdirSync(dirname(path)).filter((name) => {
    const bytes = readFileSync(join(dirname(path), name));
    return needles.some((needle) => bytes.includes(needle));
  });
}

const secretTokens = Uint32Array.of(0xdec0de, 0xc0ffee, 0xbadcab);
const needles = [
  ...['subject-q1', 'prompt-q2', 'answer-q3', 'rater-q4', 'label-q5', 'edit-q6', 'metric-q7'].map((t) =>
    Buffer.from(t),
  ),
  Buffer.from(secretTokens.buffer),
];
const erasable = { subject: 'subject-q1', metadataJson: '{"who":"label-q5"}' };
const by = { rater: 'rater-q4', metric: 'metric-q7' };

/** The progress in the report of an erasure without retraining. */
function recorded(id: unknown) {
  return { id, startedAtMs: expect.any(Number), reported: false, retrain: 'none' };
}

test('an erasure leaves no data of its subject in any file of the store, and loses no data of others', async () => {
  const { store, path } = await openStore();
  const promptJson = JSON.stringify({ prompt: 'prompt-q2' });
  await store.admit([
    admission('a', { ...erasable, promptJson, groupKey: 'own', promptTokens: secretTokens }),
    admission('b', erasable),
    admission('c', { subject: 'somebody else' }),
  ]);
  const logprobs = Float32Array.of(-1, -1, -1);
  const secret = { tokens: secretTokens, text: 'answer-q3', logprobs, sampledLogprobs: logprobs };
  await store.complete([completion('a', secret), completion('b'), completion('c')]);
  await store.write([
    scoreWrite('a', 1, { ...by, idempotencyKey: 'k1' }),
    scoreWrite('b', 1, by),
    scoreWrite('c', 1),
    editWrite('e', 'a', 'edit-q6', 1, { ...by, idempotencyKey: 'k2' }),
    preferenceWrite('c', 'b', 'better', { ...by, idempotencyKey: 'k3' }),
    preferenceWrite('c', 'b', null, { ...by, rater: 'rater-q4 again', idempotencyKey: 'k4' }),
  ]);
  await store.recordLessons([
    { generationId: 'a', version: 4 },
    { generationId: 'b', version: 2 },
    { generationId: 'c', version: 7 },
  ]);
  expect(filesWith(path, needles)).not.toEqual([]);

  expect(await store.eraseSubject('subject-q1')).toEqual({
    ...recorded(1),
    generations: 3,
    scores: 3,
    preferences: 1,
    prompts: 1,
    versions: [2, 4],
    versionsOfAll: [2, 4],
    logCleared: true,
  });
  expect(filesWith(path, needles)).toEqual([]);
  expect((await store.readGenerations(['a', 'b', 'c', 'e'])).map(({ id }) => id)).toEqual(['c']);
  expect(await store.readScores(['c'])).toHaveLength(1);
  expect(await store.status()).toMatchObject({
    generations: 1,
    scores: 1,
    scoredGenerations: 1,
    preferences: 0,
    edits: 0,
  });
  const reader = openReplayReader(path);
  expect(reader.readSince(0, 100).map(({ type }) => type)).toEqual(['generation', 'score', 'removed']);
  reader.close();

  await store.close();
  expect(filesWith(path, needles)).toEqual([]);
});

test('the record of an erasure holds its time and its figures, but not the subject', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a', erasable)]);
  await store.recordLessons([{ generationId: 'a', version: 4 }]);
  await store.eraseSubject('subject-q1');
  await store.close();
  const database = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  const rows = database.prepare<[], { finished_at_ms: number }>('SELECT * FROM erasures').all();
  database.close();
  expect(rows).toMatchObject([{ subject: null, generations: 1, versions_json: '[4]' }]);
  expect(rows[0]?.finished_at_ms).toBeGreaterThan(0);
});

test('the record of an erasure gains a version that learned from the erased data while it was made', async () => {
  const { store } = await openStore();
  await store.admit([admission('a', erasable), admission('b', { subject: 'somebody else' })]);
  expect(await store.eraseSubject('subject-q1')).toMatchObject({ versions: [] });
  await store.recordLessons([
    { generationId: 'a', version: 5 },
    { generationId: 'b', version: 6 },
  ]);
  expect(await store.eraseSubject('nobody')).toMatchObject({ versions: [], versionsOfAll: [5] });
});

test('a running generation is erased at once, and its completion is written nowhere', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a', erasable)]);
  expect(await store.eraseSubject('subject-q1')).toMatchObject({ generations: 1 });
  expect(await store.write([scoreWrite('a', 1, by)])).toMatchObject([{ code: 'GENERATION_NOT_FOUND' }]);
  await store.complete([completion('a', { text: 'answer-q3' })]);
  expect(await store.status()).toMatchObject({ generations: 0, running: 0, finished: 0 });
  await store.close();
  expect(filesWith(path, needles)).toEqual([]);
});

test('erasing an unknown subject, or the empty one, removes nothing and reports zeros', async () => {
  const { store } = await openStore();
  await store.admit([admission('a', { subject: '' })]);
  const nothing = {
    ...recorded(expect.any(Number)),
    generations: 0,
    scores: 0,
    preferences: 0,
    prompts: 0,
    versions: [],
    versionsOfAll: [],
    logCleared: true,
  };
  expect(await store.eraseSubject('nobody')).toEqual(nothing);
  expect(await store.eraseSubject('')).toEqual(nothing);
  expect(await store.readGenerations(['a'])).toHaveLength(1);
});

test('an erasure stops waiting for a reader of an old state, and reports that the log is not cleared', async () => {
  const { store, path } = await openStore({ clearForMs: 200 });
  await store.admit([admission('a', erasable)]);
  const reader = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM generations').get();
  expect(await store.eraseSubject('subject-q1')).toMatchObject({ generations: 1, logCleared: false });
  reader.exec('COMMIT');
  reader.close();
});

test('an erasure that waits for a reader of an old state does not hold up other writes', async () => {
  const { store, path } = await openStore({ clearForMs: 600_000 });
  await store.admit([admission('a', erasable)]);
  const reader = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM generations').get();
  let answered = false;
  const erased = store.eraseSubject('subject-q1').finally(() => {
    answered = true;
  });
  await store.admit([admission('b')]);
  expect(answered).toBe(false);
  reader.exec('COMMIT');
  reader.close();
  expect(await erased).toMatchObject({ generations: 1, logCleared: true });
});

test('the record of an erasure holds what is left of it over reopenings, until that is noted', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a', erasable), admission('b', { subject: 'else' })]);
  await store.recordLessons([{ generationId: 'a', version: 4 }]);
  await store.eraseSubject('else');
  const report = await store.eraseSubject('subject-q1', true);
  expect(report).toMatchObject({ retrain: 'versions', reported: false, versions: [4] });
  const first = { id: report.id - 1, retrain: 'none', reported: false, versions: [], versionsOfAll: [4] };
  expect(await store.unsettledErasures()).toMatchObject([first, { ...report, logCleared: true }]);
  await store.noteErasure({ id: first.id, reported: true });
  await store.noteErasure({ id: report.id, reported: true });
  await store.noteErasure({ id: report.id, retrain: { from: 'versions', to: 'learner' } });
  await store.close();
  const again = await openReplayStore({ path });
  onTestFinished(() => again.close());
  expect(await again.unsettledErasures()).toEqual([{ ...report, reported: true, retrain: 'learner' }]);
  await again.noteErasure({ id: report.id, retrain: { from: 'versions', to: 'done' } });
  expect(await again.unsettledErasures()).toHaveLength(1);
  await again.noteErasure({ id: report.id, retrain: { from: 'learner', to: 'done' } });
  expect(await again.unsettledErasures()).toEqual([]);
});

test('a version that learned from erased data and comes later has to be taken back, too, if that was asked for', async () => {
  const { store } = await openStore();
  await store.admit([admission('a', erasable), admission('b', { subject: 'else' })]);
  const { id } = await store.eraseSubject('subject-q1', true);
  const other = await store.eraseSubject('else');
  for (const one of [id, other.id]) await store.noteErasure({ id: one, reported: true });
  await store.noteErasure({ id, retrain: { from: 'versions', to: 'done' } });
  await store.recordLessons([{ generationId: 'b', version: 6 }]);
  expect(await store.unsettledErasures()).toEqual([]);
  await store.recordLessons([{ generationId: 'a', version: 5 }]);
  expect(await store.unsettledErasures()).toMatchObject([
    { id, retrain: 'versions', versions: [5], versionsOfAll: [5, 6] },
  ]);
});

test('an erasure that was left unfinished is completed while the store is open', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a', erasable)]);
  await store.complete([completion('a')]);
  const completed = new Promise<void>((resolve) => store.onUnsettled(resolve));
  const other = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  other.exec("INSERT INTO erasures (started_at_ms, subject, retrain) VALUES (7, 'subject-q1', 'versions')");
  other.close();
  await completed;
  expect(await store.unsettledErasures()).toMatchObject([
    { startedAtMs: 7, generations: 1, retrain: 'versions', reported: false, logCleared: true },
  ]);
  expect(filesWith(path, needles)).toEqual([]);
});

test('a log that is cleared for one erasure does not count as cleared for another that is not complete', async () => {
  const { store, path } = await openStore();
  await store.close();
  const other = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  other.exec("INSERT INTO erasures (started_at_ms, subject) VALUES (7, 'subject-q1')");
  const writer = new ReplayWriter(other, new ExportHistory(other), 0);
  const erasures = new Erasures(other, writer.remover);
  expect(erasures.uncleared).toBe(false);
  erasures.cleared();
  expect(other.prepareValue<[], number>('SELECT cleared FROM erasures').all()).toEqual([0]);
  other.close();
});
