/** Erased data is in no file, also if a crash interrupts the erasure. */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { edit, prefer } from '../../client/index.js';
import { openReplayStore } from '../../src/replay/index.js';
import { Database } from '../../src/sqlite/index.js';
import { eagerLearner, judge, playUntil } from '../support/app.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { temporaryFolder } from '../support/folders.js';
import { startScript } from '../support/processes.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

const eraser = fileURLToPath(new URL('../support/processes/eraser-process.js', import.meta.url));

/** Reads a file, or nothing if it was removed meanwhile, as the learner's candidates are. */
function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Lists which of these byte strings are in which files below a folder. */
function findings(folder: string, needles: ReadonlyMap<string, Buffer>): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.flatMap(({ parentPath, name }) => {
    const bytes = readIfThere(join(parentPath, name));
    return [...needles].filter(([, needle]) => bytes.includes(needle)).map(([what]) => `${what} in ${name}`);
  });
}

/** The bytes that the store holds of these generations. */
function storedBytes(data: string, ids: readonly string[]): Map<string, Buffer> {
  const database = new Database(join(data, 'replay.sqlite'), { access: 'read', busyTimeoutMs: 5000 });
  const read = database.prepare<
    [string],
    { prompt_tokens: Uint8Array; tokens: Uint8Array; logprobs: Uint8Array; text: string }
  >(
    'SELECT prompt_tokens, tokens, logprobs, text FROM generations JOIN prompts ON prompts.id = prompt_id WHERE generations.id = ?',
  );
  const found = new Map<string, Buffer>();
  for (const id of ids) {
    const { prompt_tokens, tokens, logprobs, text } = read.get(id) as NonNullable<ReturnType<typeof read.get>>;
    found.set(`prompt tokens of ${id}`, Buffer.from(prompt_tokens));
    found.set(`tokens of ${id}`, Buffer.from(tokens));
    if (logprobs.length > 0) found.set(`log-probabilities of ${id}`, Buffer.from(logprobs));
    found.set(`text of ${id}`, Buffer.from(text));
    found.set(`id ${id}`, Buffer.from(id));
  }
  database.close();
  return found;
}

it('an erased subject is in no file of a running or stopped server, and versions that learned from it are removed', async () => {
  const data = temporaryFolder();
  await using server = await startServer({ data, args: [...eagerLearner, ...(await endlessArgs())] });
  const client = await server.connect();
  await playUntil(client, 1);
  const subject = 'subject-zq81';
  const prompt = 'The unmistakable prompt-zq82 of somebody who wants to be forgotten, in words of their own';
  const { completions } = await client.generate({
    prompt,
    subject,
    n: 16,
    maxTokens: 24,
    ignoreEos: true,
    metadata: { label: 'label-zq83' },
  });
  const ids = completions.map(({ generationId }) => generationId);
  const by = { rater: 'rater-zq84', metric: 'metric-zq85' };
  const outcomes = await client.feedback([
    ...ids.map((generationId, i) => ({ generationId, score: i / 16, ...by })),
    { ...edit(ids[0] ?? '', 'edit-zq86 as it should have been', 1), ...by },
    prefer(ids[1] ?? '', ids[2] ?? '', by),
  ]);
  const edited = outcomes.flatMap((outcome) =>
    'generationId' in outcome && outcome.generationId ? [outcome.generationId] : [],
  );
  // A version learns from the subject's data.
  const before = (await client.status()).live.number;
  await playUntil(client, before + 2);
  const words = ['subject-zq81', 'prompt-zq82', 'label-zq83', 'rater-zq84', 'metric-zq85', 'edit-zq86'];
  const needles = new Map([
    ...words.map((w) => [w, Buffer.from(w)] as const),
    ...storedBytes(data, [...ids, ...edited]),
  ]);
  expect(findings(data, needles)).not.toEqual([]);
  const running = client.stream({ ...endlessRequest, prompt: `${prompt} again`, subject });
  await running.next();

  const erased = await client.eraseSubject(subject, { retrain: true });

  expect(erased).toMatchObject({ generations: ids.length + edited.length + endlessRequest.n, logCleared: true });
  await expect(async () => {
    for await (const _ of running);
  }).rejects.toMatchObject({ code: 'CANCELLED' });
  // The learner forgets the ids and writes a new checkpoint.
  await until(
    () => findings(data, needles).length === 0,
    () => `no file holds erased data: ${findings(data, needles)}`,
  );
  for (const word of words) expect(server.log()).not.toContain(word);

  expect(erased.versions.length).toBeGreaterThan(0);
  const isTainted = new Set(erased.versions);
  const { live } = await client.status();
  expect(isTainted.has(live.number)).toBe(false);
  for await (const version of client.versions()) {
    if (isTainted.has(version.number)) expect(['retired', 'rejected']).toContain(version.state);
  }
  expect(erased.removedWeights.length).toBeGreaterThan(0);
  for (const number of erased.removedWeights) {
    await expect(client.rollback(number)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  }
  // The loop continues without the subject's data.
  await playUntil(client, live.number + 1);

  await server.stop();
  expect(findings(data, needles)).toEqual([]);
});

it('an erasure that is killed is completed at the next opening, unless it had not begun', async () => {
  const counts = { untouched: 0, completed: 0 };
  const needles = new Map(['subject-to-erase'].map((w) => [w, Buffer.from(w)]));
  // The process is killed when so many generations are left: at 800 the erasure has not begun, at 80 it is complete.
  for (const left of [800, 799, 600, 300, 81, 80]) {
    const path = join(temporaryFolder(), 'replay.sqlite');
    const child = startScript(eraser, [path, '800', String(left)]);
    await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    const store = await openReplayStore({ path });
    const completed = await store.unsettledErasures();
    const { generations, scores } = await store.status();
    await store.close();
    if (generations === 800) {
      counts.untouched += 1;
      expect(completed).toEqual([]);
      expect(scores).toBe(800);
      continue;
    }
    expect([generations, scores]).toEqual([80, 80]);
    expect(findings(dirname(path), needles)).toEqual([]);
    counts.completed += 1;
    expect(completed).toMatchObject([{ generations: 720, scores: 720, logCleared: true, reported: false }]);
  }
  expect(counts.completed).toBeGreaterThan(0);
});

/** The record of the newest erasure, as another program sees it. */
interface Recorded {
  readonly finished_at_ms: number | null;
  readonly reported: number;
  readonly retrain: string;
}

/** When the server is killed. Another process sees each moment some time after it has come, so a kill may be later. */
const moments: readonly (readonly [string, (found: Recorded) => boolean])[] = [
  ['once the erasure is recorded', () => true],
  ['once the data is removed', ({ finished_at_ms }) => finished_at_ms !== null],
  ['once its event is published', ({ reported }) => reported === 1],
  ['once the versions are taken back', ({ retrain }) => retrain === 'learner' || retrain === 'done'],
  ['once the learner has the command', ({ retrain }) => retrain === 'done'],
];

it('an erasure with retraining that is killed at any step is completed by the next start, and reported once', async () => {
  const data = temporaryFolder();
  let server = await startServer({ data, args: eagerLearner });
  const database = new Database(join(data, 'replay.sqlite'), { access: 'read', busyTimeoutMs: 5000 });
  onTestFinished(() => database.close());
  const newest = database.prepare<[number], Recorded>('SELECT * FROM erasures WHERE id > ? ORDER BY id DESC LIMIT 1');
  const lessonsOf = database.prepareValue<[string], number>(
    'SELECT DISTINCT lessons.version FROM lessons JOIN generations ON generations.id = generation_id WHERE subject = ?',
  );
  const open = database.prepareValue<[], number>(
    "SELECT count(*) FROM erasures WHERE finished_at_ms IS NULL OR reported = 0 OR retrain IN ('versions', 'learner')",
  );
  try {
    for (const [index, [, isReached]] of moments.entries()) {
      const client = await server.connect({ retry: { maxAttempts: 1 } });
      const subject = `subject-${index}`;
      // A version learns from the subject's data and goes live.
      while (!lessonsOf.all(subject).includes((await client.status()).live.number)) {
        const { completions } = await client.generate({ prompt: `for ${subject}`, subject, n: 8, maxTokens: 16 });
        await client.feedback(
          completions.map(({ generationId, text }) => ({ generationId, score: judge(text), rater: subject })),
        );
        const { live } = await client.status();
        await playUntil(client, live.number + 1);
      }
      const learned = new Set(lessonsOf.all(subject));
      const erased = client.eraseSubject(subject, { retrain: true }).catch(() => undefined);
      await until(() => newest.all(index).some(isReached), 'the erasure has come so far', { everyMs: 0 });
      await server.kill();
      await erased;

      server = await startServer({ data, args: eagerLearner });
      const again = await server.connect();
      const tainted = new Set<number>();
      const versions = [];
      for await (const version of again.versions()) versions.push(version);
      for (const { number, parent } of versions.reverse()) {
        if (learned.has(number) || (parent !== undefined && tainted.has(parent))) tainted.add(number);
      }
      // No call is answered by weights that learned from the data.
      expect(tainted.has((await again.status()).live.number)).toBe(false);
      for (const { number, state } of versions) {
        if (tainted.has(number)) expect(['retired', 'rejected'], `version ${number}`).toContain(state);
      }
      for (const number of tainted) {
        await expect(again.rollback(number)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
      }
      await until(() => open.get() === 0, 'nothing is left to do of any erasure');
      const reports: number[] = [];
      for await (const { sequence, type, numbers } of again.watchEvents({ afterSequence: 0 })) {
        if (type === 'subject_erased') reports.push(numbers.erasure ?? 0);
        if (sequence >= lastSequence(data)) break;
      }
      expect(reports).toEqual(Array.from({ length: index + 1 }, (_, i) => i + 1));
    }
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

/** The number of the last event in the journal of a data directory. */
function lastSequence(data: string): number {
  const lines = readFileSync(join(data, 'events.jsonl'), 'utf8').trimEnd().split('\n');
  return (JSON.parse(lines.at(-1) ?? '{}') as { sequence: number }).sequence;
}
