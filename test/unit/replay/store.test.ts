import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openReplayReader, openReplayStore, type ReplayStoreOptions } from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, preferenceWrite, scoreWrite } from '../../support/replay/records.js';

async function openStore(options: Partial<ReplayStoreOptions> = {}) {
  const path = options.path ?? join(temporaryFolder(), 'data', 'replay.sqlite');
  const store = await openReplayStore({ ...options, path });
  onTestFinished(() => store.close());
  return { store, path };
}

function openReader(path: string) {
  const reader = openReplayReader(path);
  onTestFinished(() => reader.close());
  return reader;
}

test('a generation is read back as it was admitted and completed', async () => {
  const { store } = await openStore();
  await store.admit([admission('g1'), admission('g2')]);
  expect((await store.readGenerations(['g1']))[0]).toMatchObject({ ...admission('g1'), state: 'running', text: '' });
  await store.complete([completion('g1')]);
  const [read, other] = await store.readGenerations(['g1', 'g2', 'unknown']);
  expect(read).toEqual({ ...admission('g1'), ...completion('g1'), editOf: null });
  expect(other?.state).toBe('running');
});

test('the store creates its directory and keeps its files private to the user', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('g1')]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600);
  expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
});

test('a second score replaces the first and a retraction removes it, each with a later sequence number', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('g1')]);
  await store.complete([completion('g1')]);
  const outcomes = await store.write([
    scoreWrite('g1', 0.25),
    scoreWrite('g1', 0.75),
    scoreWrite('g1', 1, { rater: 'bob' }),
    scoreWrite('g1', null, { rater: 'bob' }),
  ]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['stored', 'replaced', 'stored', 'retracted']);
  expect(await store.readScores(['g1'])).toEqual([
    { generationId: 'g1', rater: 'ann', metric: 'quality', value: 0.75, createdAtMs: 3000, sequence: 3 },
  ]);
  const reader = openReader(path);
  expect(reader.readSince(0, 100).map((change) => [change.sequence, change.type])).toEqual([
    [1, 'generation'],
    [2, 'score'],
    [3, 'score'],
    [4, 'score'],
    [5, 'score'],
  ]);
  expect(reader.readSince(3, 1)).toEqual([
    { sequence: 4, type: 'score', generationId: 'g1', rater: 'bob', metric: 'quality', value: 1 },
  ]);
  expect(reader.readSince(4, 9)).toMatchObject([{ sequence: 5, value: null }]);
  expect(reader.lastSequence()).toBe(5);
});

test('a repeated idempotency key gets the stored answer for the same content and a refusal for other content', async () => {
  const { store } = await openStore();
  await store.admit([admission('g1'), admission('g2')]);
  const key = { idempotencyKey: 'k1' };
  const [first] = await store.write([scoreWrite('g1', 0.5, key)]);
  expect(await store.write([scoreWrite('g1', 0.5, key)])).toEqual([{ status: 'duplicate', sequence: 1 }]);
  expect(first).toEqual({ status: 'stored', sequence: 1 });
  const [otherValue, otherGeneration] = await store.write([scoreWrite('g1', 0.6, key), scoreWrite('g2', 0.5, key)]);
  expect(otherValue).toMatchObject({ status: 'refused', code: 'IDEMPOTENCY_CONFLICT' });
  expect(otherGeneration).toMatchObject({ status: 'refused', code: 'IDEMPOTENCY_CONFLICT' });
  expect((await store.readScores(['g1']))[0]?.value).toBe(0.5);
});

test('a refused score does not affect the other items of its batch', async () => {
  const { store } = await openStore();
  await store.admit([admission('g1')]);
  const outcomes = await store.write([
    scoreWrite('nobody', 1),
    scoreWrite('g1', Number.NaN),
    scoreWrite('g1', Number.POSITIVE_INFINITY),
    scoreWrite('g1', 1),
  ]);
  expect(outcomes).toMatchObject([
    { code: 'GENERATION_NOT_FOUND' },
    { code: 'INVALID_REQUEST' },
    { code: 'INVALID_REQUEST' },
    { status: 'stored' },
  ]);
});

test('a request that fails is undone alone, although it shares a commit with others', async () => {
  const { store } = await openStore();
  await store.admit([admission('g1')]);
  const results = await Promise.allSettled([
    store.admit([admission('g2')]),
    store.admit([admission('g3'), admission('g1')]),
    store.complete([completion('g1'), completion('unknown')]),
    store.admit([admission('g4')]),
  ]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  const stored = await store.readGenerations(['g1', 'g2', 'g3', 'g4']);
  expect(stored.map((g) => [g.id, g.state])).toEqual([
    ['g1', 'running'],
    ['g2', 'running'],
    ['g4', 'running'],
  ]);
});

test('cancelled and aborted generations write no change for the learner', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('g1'), admission('g2')]);
  await store.complete([completion('g1', { state: 'cancelled' }), completion('g2', { state: 'aborted' })]);
  expect(openReader(path).readSince(0, 10)).toEqual([]);
});

test('opening a store aborts the generations that a dead process left running', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('g1'), admission('g2')]);
  await store.complete([completion('g2')]);
  await store.close();
  const { store: again } = await openStore({ path });
  expect((await again.readGenerations(['g1', 'g2'])).map((g) => g.state)).toEqual(['aborted', 'finished']);
  expect(await again.status()).toMatchObject({
    generations: 2,
    finished: 1,
    running: 0,
    aborted: 1,
    lastSequence: 1,
    oldestGenerationAtMs: 1000,
  });
});

test('a full queue refuses a request at once, with the time to wait', async () => {
  const { store } = await openStore({ maxQueuedItems: 4 });
  const first = store.admit([admission('g1'), admission('g2'), admission('g3')]);
  await expect(store.admit([admission('g4'), admission('g5')])).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    retryAfterMs: 100,
  });
  await first;
  await store.admit([admission('g4'), admission('g5')]);
});

test('a full queue still takes the completions of admitted generations', async () => {
  const { store } = await openStore({ maxQueuedItems: 4 });
  await store.admit([admission('g1')]);
  const scores = store.write(['a', 'b', 'c', 'd'].map((rater) => scoreWrite('g1', 1, { rater })));
  await store.complete([completion('g1')]);
  expect((await store.readGenerations(['g1']))[0]?.state).toBe('finished');
  expect(await scores).toHaveLength(4);
});

test('a store at its size limit refuses writes with STORE_FULL and keeps everything it acknowledged', async () => {
  const { store, path } = await openStore({ maxFileBytes: 256 * 1024 });
  await store.admit([admission('small')]);
  const results = await Promise.allSettled([
    store.write([scoreWrite('small', 1)]),
    store.admit([admission('large', { promptJson: 'x'.repeat(400 * 1024) })]),
    store.write([scoreWrite('small', 0, { rater: 'bob' })]),
  ]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(results[1]).toMatchObject({ reason: { code: 'STORE_FULL' } });
  expect(await store.readScores(['small'])).toHaveLength(2);
  await store.close();
  const { store: again } = await openStore({ path });
  expect((await again.status()).generations).toBe(1);
});

test('close waits for the writes in flight, leaves no log behind and can be repeated', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('g1')]);
  const writes = Array.from({ length: 50 }, (_, i) => store.write([scoreWrite('g1', i, { rater: `r${i}` })]));
  await Promise.all([store.close(), store.close()]);
  expect((await Promise.all(writes)).flat()).toHaveLength(50);
  expect(() => statSync(`${path}-wal`)).toThrow();
  await expect(store.status()).rejects.toMatchObject({ code: 'DRAINING' });
});

test.each([
  ['an empty file', () => Buffer.alloc(0)],
  ['a file that is something else', () => Buffer.from('not a database, but long enough to have a header'.repeat(40))],
])('%s in the place of the store is refused and left as it is', async (_, content) => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  writeFileSync(path, content());
  await expect(openReplayStore({ path })).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  expect(readFileSync(path)).toEqual(content());
});

test('opening a store with damaged pages throws, with the remedy', async () => {
  const { store, path } = await openStore();
  await store.admit(Array.from({ length: 200 }, (_, i) => admission(`g${i}`, { promptJson: 'y'.repeat(500) })));
  await store.close();
  const bytes = readFileSync(path);
  for (let page = 2; page < bytes.length / 4096; page++) bytes.fill(0xa5, page * 4096, page * 4096 + 64);
  writeFileSync(path, bytes);
  await expect(openReplayStore({ path })).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('.recover'),
  });
});

test('opening a log without its store throws', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  writeFileSync(`${path}-wal`, 'frames');
  await expect(openReplayStore({ path })).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
});

test('opening a store that another program keeps to itself throws STORE_LOCKED', async () => {
  const { store, path } = await openStore();
  await store.close();
  const holder = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => void holder.close());
  holder.setPragma('locking_mode', 'EXCLUSIVE');
  holder.exec("UPDATE generations SET subject = ''");
  await expect(openReplayStore({ path })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
});

test('opening a store of a later format throws, with the number of the format', async () => {
  const { store, path } = await openStore();
  await store.close();
  const database = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  database.setPragma('user_version', 99);
  database.close();
  await expect(openReplayStore({ path })).rejects.toMatchObject({ code: 'STORE_TOO_NEW' });
  expect(() => openReplayReader(path)).toThrow(/format 99/);
});

test('a reader sees committed data while the writer continues', async () => {
  const { store, path } = await openStore();
  const reader = openReader(path);
  await store.admit([admission('g1')]);
  await store.complete([completion('g1')]);
  expect(reader.readGenerations(['g1', 'unknown'])).toEqual(await store.readGenerations(['g1']));
  await store.write([scoreWrite('g1', 0.5)]);
  expect(reader.readScores(['g1'])).toEqual(await store.readScores(['g1']));
});

test('texts are read back whole, with every character that they may hold', async () => {
  const { store, path } = await openStore();
  const odd = 'a\u0000b\u0000 \uFEFFü 👋';
  const by = { rater: `rater ${odd}`, metric: `metric ${odd}` };
  const fields = {
    subject: `\uFEFF${odd}`,
    packageDigest: `package ${odd}`,
    adapterDigest: odd,
    promptJson: '"\\u0000"',
  };
  await store.admit([admission('g1', fields), admission('g2', fields)]);
  await store.complete([completion('g1', { text: `\u0000${odd}`, finishReason: odd }), completion('g2')]);
  await store.write([
    scoreWrite('g1', 1, { ...by, idempotencyKey: `key ${odd}` }),
    preferenceWrite('g1', 'g2', 'better', { ...by, idempotencyKey: `key ${odd} again` }),
  ]);
  const reader = openReplayReader(path);
  onTestFinished(() => reader.close());
  for (const one of [store, reader]) {
    const [read] = await one.readGenerations(['g1']);
    expect(read).toMatchObject({ ...admission('g1', fields), text: `\u0000${odd}`, finishReason: odd });
    expect(await one.readScores(['g1'])).toMatchObject([by]);
    expect(await one.readPreferences(['g2'])).toMatchObject([by]);
  }
  expect(reader.readSince(0, 10).filter(({ type }) => type !== 'generation')).toMatchObject([by, by]);
  const page = await store.exportPage({ after: 0, subject: fields.subject });
  expect(page.records).toMatchObject([
    { generation: { id: 'g1', text: `\u0000${odd}` } },
    { score: by },
    { generation: { id: 'g2' } },
    { preference: by },
  ]);
  expect((await store.importRecords(page.records)).map(({ status }) => status)).toEqual(new Array(4).fill('skipped'));
  expect(await store.eraseSubject(fields.subject)).toMatchObject({ generations: 2, scores: 1, preferences: 1 });
  expect(await store.status()).toMatchObject({ generations: 0, scores: 0 });
});
