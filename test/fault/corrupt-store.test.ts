/** A damaged store is refused at start and stays as it is. If the damage is met while serving, nothing more is written. */

import { createHash } from 'node:crypto';
import { closeSync, cpSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { openReplayStore } from '../../src/replay/index.js';
import { hone } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { admission, completion } from '../support/replay/records.js';
import { runServer, startServer } from '../support/server.js';

const pageBytes = 4096;

/** Makes a data directory as a killed server leaves it, with its last commits in the log. */
async function usedDirectory(): Promise<string> {
  const data = temporaryFolder();
  await using server = await startServer();
  const client = await server.connect();
  for (let i = 0; i < 12; i++) {
    const { completions } = await client.generate({ prompt: `prompt ${i}`, n: 16, maxTokens: 40, ignoreEos: true });
    await client.feedback(completions.map(({ generationId }, k) => ({ generationId, score: k })));
  }
  await server.kill();
  cpSync(server.ready.data, data, { recursive: true });
  return data;
}

describe('a damaged file of the data directory at start', () => {
  it('is refused with the remedy, and every file stays as it is', async () => {
    const killed = await usedDirectory();
    // A graceful stop moves the log into the file.
    const stopped = temporaryFolder();
    cpSync(killed, stopped, { recursive: true });
    await (await startServer({ data: stopped })).stop();
    const pages = statSync(join(stopped, 'replay.sqlite')).size / pageBytes;
    expect(pages).toBeGreaterThan(50);
    const middle = Math.floor(pages / 2) * pageBytes;
    const cases: readonly (readonly [string, string, string, (bytes: Buffer) => Buffer])[] = [
      ['header', stopped, 'replay.sqlite', (bytes) => bytes.fill(0xa5, 0, 100)],
      ['page in the middle', stopped, 'replay.sqlite', (bytes) => bytes.fill(0xa5, middle, middle + pageBytes)],
      ['cut file', stopped, 'replay.sqlite', (bytes) => bytes.subarray(0, middle)],
      ['empty file', stopped, 'replay.sqlite', (bytes) => bytes.subarray(0, 0)],
      ['log', killed, 'replay.sqlite-wal', (bytes) => bytes.fill(0xa5, 100_000, 100_100)],
    ];
    for (const [what, from, name, damage] of cases) {
      const data = temporaryFolder();
      cpSync(from, data, { recursive: true });
      const path = join(data, name);
      writeFileSync(path, damage(readFileSync(path)));
      const before = contents(data);
      const { code, output } = await runServer({ data });
      expect(output, what).toMatch(/(Nothing was changed|Move it away).*\(STORE_CORRUPT\)/s);
      expect(code, what).toBe(78);
      expect(contents(data), what).toEqual(before);
    }
  });
});

/** Digests of the data files, by name. Files of the lock, of a listening server and of SQLite's shared memory are no data. */
function contents(data: string): Map<string, string> {
  const names = readdirSync(data, { recursive: true }) as string[];
  const files = names.filter((name) => {
    const found = statSync(join(data, name));
    const isEmptyLog = found.size === 0 && name.endsWith('-wal');
    return found.isFile() && !isEmptyLog && !/^(lock|server\.json)|-shm$/.test(name);
  });
  return new Map(files.map((name) => [name, digest(readFileSync(join(data, name)))]));
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('damage of the store that is met while serving', () => {
  it('ends calls that need the store with DATA_LOSS, serves completions without storing them, and sends an event', async () => {
    const data = temporaryFolder();
    const path = join(data, 'replay.sqlite');
    const ids = Array.from({ length: 300 }, (_, i) => `00000000-0000-7000-8000-${String(i).padStart(12, '0')}`);
    // The store is larger than SQLite's page cache.
    const store = await openReplayStore({ path });
    await store.admit(
      ids.map((id) => admission(id, { groupKey: id, promptJson: JSON.stringify({ prompt: id.repeat(3000) }) })),
    );
    await store.complete(ids.map((id) => completion(id)));
    await store.close();
    await using server = await startServer({ data });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    damagePages(path);
    await expect(readAll(client, ids)).rejects.toMatchObject({ status: 'DATA_LOSS', code: 'STORE_CORRUPT' });

    // The status is wanted just now. It gives what is known, and the reason.
    const status = await client.status();
    expect(status).toMatchObject({
      live: { number: 0 },
      replay: { failure: { code: 'STORE_CORRUPT', message: expect.stringContaining('.recover') } },
    });
    const shown = await hone(server.ready.address, 'status');
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('cannot be used: STORE_CORRUPT') });
    expect((await fetch(server.ready.metrics ?? '')).status).toBe(200);
    await client.learnerStatus();
    expect((await client.mode()).mode).toBe('auto');
    for await (const { number } of client.versions()) expect(number).toBe(0);

    const answer = await client.generate({ prompt: 'still here', maxTokens: 8 });
    expect(answer.usage.completionTokens).toBeGreaterThan(0);
    const score = client.feedback([{ generationId: ids[0] ?? '', score: 1 }]);
    await expect(score).rejects.toMatchObject({ status: 'DATA_LOSS', message: expect.stringContaining('.recover') });
    for await (const { detail } of client.watchEvents({ afterSequence: 0, types: ['store_failed'] })) {
      expect(detail).toContain('STORE_CORRUPT');
      break;
    }
    await server.kill();
    const { code, output } = await runServer({ data });
    expect(output).toContain('STORE_CORRUPT');
    expect(code).toBe(78);
  });
});

async function readAll(client: HoneClient, ids: readonly string[]): Promise<void> {
  for (const id of ids) await client.getGeneration(id);
}

/** Overwrites the header of every page but the first. */
function damagePages(path: string): void {
  const file = openSync(path, 'r+');
  for (let at = pageBytes; at < statSync(path).size; at += pageBytes)
    writeSync(file, Buffer.alloc(64, 0xa5), 0, 64, at);
  closeSync(file);
}
