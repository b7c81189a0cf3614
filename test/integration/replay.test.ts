/** Export and import through the real server and the real command; the bounds of the store in its status. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { edit, type HoneClient, prefer } from '../../client/index.js';
import { hone, honeWithInput } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { projectFolder, startServer } from '../support/server.js';

async function exported(client: HoneClient, filter = {}): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const { lines } of client.exportReplay(filter)) pieces.push(lines);
  return Buffer.concat(pieces).toString('utf8');
}

/** Adds two prompts of two subjects, scores, a preference and an edit. */
async function fill(client: HoneClient): Promise<readonly string[]> {
  const { completions } = await client.generate({
    prompt: 'one',
    n: 3,
    maxTokens: 12,
    subject: 'ann',
    metadata: { k: 'v' },
  });
  const [a = '', b = '', c = ''] = completions.map(({ generationId }) => generationId);
  const { completions: others } = await client.generate({
    messages: [{ role: 'user', content: 'two ü\n\u2028' }],
    n: 64,
    maxTokens: 8,
    subject: 'bob',
    topP: 0.5,
  });
  await client.feedback([
    { generationId: a, score: 0.1 },
    { generationId: a, score: 0.7, rater: 'carl', metric: 'tone' },
    prefer(a, c, { rater: 'dora' }),
    { ...edit(b, 'better so', 0.9), rater: 'dora' },
    { generationId: others[3]?.generationId ?? '', score: 1e-300 },
  ]);
  return [a, b, c];
}

describe('export and import', () => {
  it('are exact: data that is imported into an empty server is exported the same', async () => {
    await using first = await startServer();
    const client = await first.connect();
    await fill(client);
    const lines = await exported(client);
    expect(lines.trim().split('\n')).toHaveLength(67 + 1 + 4 + 1);
    await using second = await startServer();
    const other = await second.connect();
    // The pieces cut lines and characters.
    const bytes = Buffer.from(lines);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 997) }, (_, i) =>
      bytes.subarray(i * 997, (i + 1) * 997),
    );
    expect(await other.importReplay(pieces)).toEqual({ imported: 73, skipped: 0, refused: 0, refusals: [] });
    expect(await exported(other)).toBe(lines);
    const [one, two] = [(await client.status()).replay, (await other.status()).replay];
    expect(two).toMatchObject({
      generations: one.generations,
      finished: one.finished,
      scores: one.scores,
      scoredGenerations: one.scoredGenerations,
      preferences: one.preferences,
      edits: one.edits,
    });
    expect(await other.importReplay([bytes])).toEqual({ imported: 0, skipped: 73, refused: 0, refusals: [] });
  });

  it('only include the subject, the time and the scored generations that the caller selects', async () => {
    await using server = await startServer();
    const client = await server.connect();
    await fill(client);
    const types = async (filter: object): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const line of (await exported(client, filter)).split('\n').filter(Boolean)) {
        const { type } = JSON.parse(line) as { type: string };
        counts[type] = (counts[type] ?? 0) + 1;
      }
      return counts;
    };
    expect(await types({ subject: 'ann' })).toEqual({ generation: 3, edit: 1, score: 3, preference: 1 });
    // The other side of the preference has no score.
    expect(await types({ scored: true })).toEqual({ generation: 2, edit: 1, score: 4 });
    expect(await types({ sinceMs: Date.now() + 1000 })).toEqual({});
  });

  it('refuse each bad record as a whole, and report its line and the reason', async () => {
    await using server = await startServer();
    const client = await server.connect();
    await fill(client);
    const lines = (await exported(client)).trim().split('\n');
    const score = lines.find((line) => line.includes('"type":"score"')) ?? '';
    const generation = lines.find((line) => line.includes('"type":"generation"')) ?? '';
    const text = [
      'not json',
      score.replace(/"value":[^,]*/, '"value":0.123'),
      generation.replace(/"subject":"ann"/, '"subject":"eve"'),
      score.replace(/"generationId":"[^"]*"/, '"generationId":"01890000-0000-7000-8000-000000000000"'),
      generation.replace('"format":1', '"format":2'),
      score,
    ].join('\n');
    const result = await client.importReplay([Buffer.from(text)]);
    expect(result).toMatchObject({ imported: 0, skipped: 1, refused: 5 });
    expect(result.refusals.map(({ line, error }) => [line, error.code])).toEqual([
      [1, 'INVALID_REQUEST'],
      [2, 'RECORD_CONFLICT'],
      [3, 'RECORD_CONFLICT'],
      [4, 'GENERATION_NOT_FOUND'],
      [5, 'INVALID_REQUEST'],
    ]);
  });

  it('work from the command line, with files and with pipes', async () => {
    const folder = temporaryFolder();
    await using server = await startServer({ data: folder });
    const client = await server.connect();
    await fill(client);
    const file = join(folder, 'all.jsonl');
    const { address } = server.ready;
    const written = await hone(address, 'export', file);
    expect(written).toMatchObject({ code: 0, out: expect.stringMatching(/^exported 73 records, /) });
    expect(readFileSync(file, 'utf8')).toBe(await exported(client));
    expect(existsSync(`${file}.part`)).toBe(false);
    expect((await hone(address, 'export')).out).toBe(readFileSync(file, 'utf8'));
    expect(await hone(address, 'import', file)).toMatchObject({
      code: 0,
      out: '0 imported, 73 stored already, 0 refused\n',
    });
    const wrong = await honeWithInput(address, '{"format":1,"type":"nothing"}\n', 'import', '-');
    expect(wrong).toMatchObject({ code: 4, out: '0 imported, 0 stored already, 1 refused\n' });
    expect(wrong.err).toMatch(/^line 1: /);
    writeFileSync(join(folder, 'empty'), '');
    expect(await hone(address, 'import', join(folder, 'empty'))).toMatchObject({ code: 0 });
    expect(await hone(address, 'erase', 'ann')).toMatchObject({ code: 2 });
    const erased = await hone(address, 'erase', 'ann', '--yes');
    expect(erased).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^erased: 4 generations, 3 scores, 1 preferences, 1 prompts\n/),
    });
  });

  it('accept the example in the documents', async () => {
    const page = readFileSync(join(projectFolder, 'docs/replay.md'), 'utf8');
    const example = /```jsonl\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    await using server = await startServer();
    const client = await server.connect();
    expect(await client.importReplay([Buffer.from(example)])).toMatchObject({ imported: 5, refused: 0, refusals: [] });
    expect(await exported(client)).toBe(example);
  });
});

describe('the bounds of the store', () => {
  it('are in the status, and an event reports data that was removed to make room', async () => {
    await using server = await startServer({ args: ['--max-replay-bytes', '300kB', '--max-replay-age', '36h'] });
    const client = await server.connect();
    const { replay } = await client.status();
    expect(replay).toMatchObject({ maxBytes: 300_000, maxAgeMs: 36 * 3_600_000 });
    const evicted = (async () => {
      for await (const event of client.watchEvents({ afterSequence: 0, types: ['replay_evicted'] })) return event;
      return undefined;
    })();
    let over = false;
    void evicted.then(() => {
      over = true;
    });
    for (let i = 0; !over; i++)
      await client.generate({ prompt: `${i} ${'word '.repeat(20)}`, n: 16, maxTokens: 100, ignoreEos: true });
    expect((await evicted)?.numbers.generations).toBeGreaterThan(0);
    const status = await hone(server.ready.address, 'status');
    expect(status.out).toMatch(/of 293 KiB in use, oldest .*, none older than 36 h/);
  });
});
