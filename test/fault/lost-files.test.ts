/**
 * Files of a data directory that are missing, empty, cut off, damaged or older when a server starts: it refuses with a code
 * and the remedy, or rebuilds them and reports it. It never gives a number twice, writes over an adapter, or forgets a mode.
 */

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { HoneClient, HoneEvent, Mode } from '../../client/index.js';
import { readPeftFixture } from '../oracles/fixture.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer } from '../support/server.js';

const peft = readPeftFixture('named').files;
/** Imported adapters wait for a person, so that the versions do not change by themselves. */
const args = ['--adapters', 'on', '--gate', 'off'];

/** What the server of a directory gave, and what must not come again. */
interface Used {
  readonly data: string;
  readonly versions: readonly number[];
  readonly lastEvent: number;
  readonly adapters: ReadonlyMap<string, Buffer>;
}

let used: Used;
/** The same directory a version and some events earlier. */
let older: string;

async function versionsOf(client: HoneClient): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { number } of client.versions()) numbers.unshift(number);
  return numbers;
}

/** Sets the mode, and returns the number of the event about it, which comes after all others so far. */
async function setMode(client: HoneClient, mode: Mode): Promise<number> {
  await client.setMode('canary');
  await client.setMode(mode);
  for await (const { type, detail, sequence } of client.watchEvents({ afterSequence: 0 })) {
    if (type === 'mode_changed' && detail === mode) return sequence;
  }
  return 0;
}

function adaptersIn(data: string): ReadonlyMap<string, Buffer> {
  const folders = readdirSync(join(data, 'versions')).filter((name) => /^\d{6}$/.test(name));
  return new Map(
    folders.map((name) => [name, readFileSync(join(data, 'versions', name, 'adapter_model.safetensors'))]),
  );
}

beforeAll(async () => {
  const data = temporaryFolder();
  older = join(temporaryFolder(), 'older');
  for (const turn of [1, 2]) {
    await using server = await startServer({ data, args });
    const client = await server.connect();
    if (turn === 1) await client.setMode('apprentice');
    await client.importVersion(peft);
    const { completions } = await client.generate({ prompt: `turn ${turn}`, maxTokens: 4 });
    await client.feedback([{ generationId: completions[0]?.generationId ?? '', score: 1 }]);
    const lastEvent = await setMode(client, turn === 1 ? 'shadow' : 'apprentice');
    used = { data, versions: await versionsOf(client), lastEvent, adapters: adaptersIn(data) };
    expect(await server.stop()).toBe(0);
    if (turn === 1) cpSync(data, older, { recursive: true });
  }
  expect(used.versions).toEqual([0, 1, 2]);
});

const files = [
  'versions/log.jsonl',
  'versions.copy.jsonl',
  'events.jsonl',
  'events.last',
  'mode.json',
  'directory.json',
  'replay.sqlite',
];
const damages: readonly (readonly [string, (path: string, name: string) => void])[] = [
  ['missing', (path) => rmSync(path)],
  ['empty', (path) => writeFileSync(path, '')],
  ['cut in half', (path) => truncateSync(path, Math.floor(statSync(path).size / 2))],
  ['garbage', (path) => writeFileSync(path, Buffer.alloc(statSync(path).size, 0x8f))],
  ['older', (path, name) => cpSync(join(older, name), path)],
];

describe.each(files)('with the file %s', (name) => {
  it.each(damages)('%s, a server refuses to start or goes on where it was', async (kind, damage) => {
    const data = join(temporaryFolder(), 'data');
    cpSync(used.data, data, { recursive: true });
    damage(join(data, name), name);
    const first = await startServer({ data, args }).catch((thrown: Error) => thrown);
    if (first instanceof Error) {
      expect(first.message).toMatch(/\(78\).*\((STATE_LOST|STORE_CORRUPT)\)/s);
      expect(first.message).toContain(name);
      // Refused again: the first start did not make anything in the place of what is lost.
      const again = await runServer({ data, args });
      expect(again.code).toBe(78);
      expect(adaptersIn(data)).toEqual(used.adapters);
      return;
    }
    await using server = first;
    const client = await server.connect();
    expect(await versionsOf(client)).toEqual(used.versions);
    expect((await client.status()).rollout.mode).toBe('apprentice');
    expect(await client.importVersion(peft)).toMatchObject({ number: 3 });
    for (const [folder, bytes] of used.adapters) expect(adaptersIn(data).get(folder)).toEqual(bytes);
    const events: HoneEvent[] = [];
    for await (const event of client.watchEvents({ afterSequence: 0 })) {
      events.push(event);
      if (event.type === 'version_created' && event.version === 3) break;
    }
    const fresh = events.slice(1 + events.findLastIndex(({ type }) => type === 'server_draining'));
    for (const { sequence } of fresh) expect(sequence).toBeGreaterThan(used.lastEvent);
    const rebuilt = events.filter(({ type }) => type === 'state_rebuilt').map(({ detail }) => detail);
    // An older record is what a crash leaves, too: all that it says still holds.
    if (kind !== 'older' || !['directory.json', 'events.last'].includes(name)) {
      expect(rebuilt).toEqual(expect.arrayContaining([expect.stringContaining(name.split('/').at(-1) ?? name)]));
      expect(server.log()).toContain(rebuilt[0]);
    }
    expect(await server.stop()).toBe(0);
    await using next = await startServer({ data, args });
    expect(await versionsOf(await next.connect())).toEqual([...used.versions, 3]);
    expect(next.log()).not.toMatch(/was missing|was damaged|was empty/);
  });
});

it('a lost store is gone on without only when a person says so, at that start', async () => {
  const data = join(temporaryFolder(), 'data');
  cpSync(used.data, data, { recursive: true });
  const without = ['--start-without', 'replay'];
  expect(await runServer({ data, args: [...args, ...without] })).toMatchObject({
    code: 78,
    output: expect.stringMatching(/replay\.sqlite is there.*INVALID_OPTIONS/s),
  });
  rmSync(join(data, 'replay.sqlite'));
  expect(await runServer({ data, args })).toMatchObject({ code: 78, output: expect.stringContaining('STATE_LOST') });
  expect(existsSync(join(data, 'replay.sqlite'))).toBe(false);
  await using server = await startServer({ data, args: [...args, ...without] });
  expect((await (await server.connect()).status()).replay.generations).toBe(0);
});

it('without lines of the version log, numbers go on above all that were given', async () => {
  const data = join(temporaryFolder(), 'data');
  cpSync(used.data, data, { recursive: true });
  rmSync(join(data, 'versions', 'log.jsonl'));
  rmSync(join(data, 'versions.copy.jsonl'));
  expect((await runServer({ data, args })).output).toMatch(
    /log\.jsonl is missing.*--start-without versions.*STATE_LOST/s,
  );
  await using server = await startServer({ data, args: [...args, '--start-without', 'versions'] });
  const client = await server.connect();
  expect(await versionsOf(client)).toEqual([3]);
  expect(await client.importVersion(peft)).toMatchObject({ number: 4 });
  for (const [folder, bytes] of used.adapters) expect(adaptersIn(data).get(folder)).toEqual(bytes);
});

it('a directory without second places, as an earlier Hone left it, opens and gets them', async () => {
  const data = join(temporaryFolder(), 'data');
  cpSync(used.data, data, { recursive: true });
  for (const name of ['directory.json', 'versions.copy.jsonl', 'events.last']) rmSync(join(data, name));
  await using server = await startServer({ data, args });
  expect(await versionsOf(await server.connect())).toEqual(used.versions);
  expect(server.log()).not.toMatch(/missing|damaged/);
  for (const name of ['directory.json', 'versions.copy.jsonl', 'events.last']) {
    expect(existsSync(join(data, name)), name).toBe(true);
  }
});
