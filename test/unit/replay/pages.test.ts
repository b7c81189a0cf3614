/** Reads stores that are larger than the heap of the reader, page by page. */

import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { openReplayReader, openReplayStore } from '../../../src/replay/index.js';
import { openForWriting } from '../../../src/replay/open-file.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, scoreWrite } from '../../support/replay/records.js';

/** Heap of the reading thread: a third of what all rows of these stores would take. */
const heapMb = 24;

async function newStore(): Promise<string> {
  const path = join(temporaryFolder(), 'replay.sqlite');
  await (await openReplayStore({ path })).close();
  return path;
}

/** Writes into the file of a closed store, because so many rows would take minutes through the store. */
function writeInto(path: string, sql: string): void {
  const database = new Database(path, { access: 'write' });
  database.setPragma('synchronous', 'OFF');
  database.exec(`BEGIN; ${sql}; COMMIT`);
  database.close();
}

const numbers = (count: number) =>
  `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

test('a reader with a small heap reads hundreds of thousands of changes in pages, each once and in order', async () => {
  const path = await newStore();
  const count = 400_000;
  writeInto(
    path,
    `${numbers(count)} INSERT INTO changes (type, generation_id, rater, metric, value)
      SELECT 'score', 'generation-' || i, 'ann', 'quality', i FROM n`,
  );
  const thread = new Worker(new URL('../../support/replay/page-reader.js', import.meta.url), {
    workerData: { path, pageLength: 4000 },
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 8 },
  });
  const [result] = await once(thread, 'message');
  expect(result).toEqual({ found: count, outOfOrder: 0 });
});

test('a worker with a small heap exports a large store in pages', async () => {
  const path = await newStore();
  const count = 15_000;
  writeInto(
    path,
    `INSERT INTO prompts (digest, prompt_tokens, prompt_json) VALUES (x'01', x'01000000', '"a"');
    ${numbers(count)} INSERT INTO generations
      (id, state, group_key, package_digest, version, adapter_digest, subject, created_at_ms, sampling_json, text, prompt_id)
      SELECT 'generation-' || i, 'finished', 'g', 'p', 0, 'a', '', i, '{}', hex(zeroblob(2000)), 1 FROM n`,
  );
  await using store = await openReplayStore({ path, maxWorkerHeapMb: heapMb });
  let found = 0;
  let after: number | null = 0;
  let id: number | undefined;
  while (after !== null) {
    const page = await store.exportPage({ after, id });
    const ids = page.records.map((record) => record.type === 'generation' && record.generation.id);
    expect(ids).toEqual(ids.map((_, i) => `generation-${found + i + 1}`));
    found += ids.length;
    ({ id } = page);
    after = page.next;
  }
  expect(found).toBe(count);
});

test('recent prompts are complete and in order over several pages and equal times', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  await using store = await openReplayStore({ path });
  // 700 generations of 350 prompts, three at a time in each millisecond; every seventh was drawn by the server.
  const all = Array.from({ length: 700 }, (_, i) => {
    const groupKey = `prompt ${(i * 137) % 350}`;
    const origin = i % 7 === 0 ? ('explored' as const) : ('sampled' as const);
    return admission(`g${i}`, {
      groupKey,
      origin,
      promptJson: JSON.stringify(groupKey),
      createdAtMs: Math.floor(i / 3),
    });
  });
  // They are not admitted in the order of their times.
  await store.admit(all.filter((_, i) => i % 2 === 1));
  await store.admit(all.filter((_, i) => i % 2 === 0));
  const places = new Map(
    [...all.filter((_, i) => i % 2 === 1), ...all.filter((_, i) => i % 2 === 0)].map((g, i) => [g, i]),
  );
  const newestFirst = all
    .filter(({ origin }) => origin === 'sampled')
    .sort((a, b) => b.createdAtMs - a.createdAtMs || (places.get(b) ?? 0) - (places.get(a) ?? 0));
  const expected = [...new Set(newestFirst.map(({ groupKey }) => groupKey))];
  expect(expected.length).toBeGreaterThan(256);
  for (const limit of [1, 255, 256, 257, expected.length, 1000]) {
    const prompts = await store.recentPrompts(limit);
    expect(prompts.map(({ groupKey }) => groupKey)).toEqual(expected.slice(0, limit));
    expect(prompts.every(({ groupKey, promptJson }) => promptJson === JSON.stringify(groupKey))).toBe(true);
  }
});

test('reading a number beyond 2^53 throws STORE_CORRUPT, in the store and in a reader', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const first = await openReplayStore({ path });
  await first.admit([admission('a'), admission('b')]);
  await first.complete([completion('a'), completion('b')]);
  await first.write([scoreWrite('a', 1)]);
  await first.close();
  writeInto(path, "UPDATE generations SET finished_at_ms = 9007199254740993 WHERE id = 'a'");
  writeInto(path, "UPDATE scores SET created_at_ms = 9223372036854775807 WHERE generation_id = 'a'");
  await using store = await openReplayStore({ path });
  const damaged = {
    code: 'STORE_CORRUPT',
    message: expect.stringMatching(/a value that Hone did not write.*\.recover/s),
  };
  await expect(store.readGenerations(['a'])).rejects.toMatchObject(damaged);
  await expect(store.readScores(['a'])).rejects.toMatchObject(damaged);
  expect(await store.readGenerations(['b'])).toHaveLength(1);
  const reader = openReplayReader(path);
  onTestFinished(() => reader.close());
  expect(() => reader.readGenerations(['a'])).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }));
});

test('the writing connection forces each commit to the disk and overwrites deleted data', () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const database = openForWriting({ path, maxFileBytes: null, maxLogBytes: 65_536 });
  onTestFinished(() => database.close());
  const settings = ['journal_mode', 'synchronous', 'secure_delete', 'foreign_keys', 'temp_store', 'journal_size_limit'];
  expect(settings.map((name) => database.readPragma(name)[0])).toEqual(['wal', 2, 1, 1, 2, 65_536]);
  // It never waits for a lock in SQLite, because then the reads of the same thread would wait, too.
  expect(database.readNumber('busy_timeout')).toBe(0);
});
