/** Export and import of adapters on real servers, by the client and the command, and by bare calls for broken streams. */

import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Client,
  type ClientWritableStream,
  credentials,
  Client as GrpcClient,
  Metadata,
  status,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdapterFiles, HoneClient, HoneEvent, HoneEventType, Version } from '../../client/index.js';
import { serviceDefinition } from '../../proto/contract.js';
import { readPeftFixture } from '../oracles/fixture.js';
import { eagerLearner, playUntil } from '../support/app.js';
import { hone } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

const peft = readPeftFixture('named').files;

/** Returns the version when it is no longer a candidate. */
async function decided(client: HoneClient, number: number): Promise<Version> {
  await until(async () => (await client.version(number)).state !== 'candidate', `version ${number} was judged`);
  return client.version(number);
}

async function firstEvent(client: HoneClient, type: HoneEventType, version?: number): Promise<HoneEvent> {
  for await (const event of client.watchEvents({ afterSequence: 0, types: [type] })) {
    if (version === undefined || event.version === version) return event;
  }
  throw new Error('the events ended');
}

describe('adapters', () => {
  let server: TestServer;
  let client: HoneClient;
  let grpc: Client;
  beforeAll(async () => {
    server = await startServer({ args: ['--adapters', 'on', '--keep-versions', '2'] });
    client = await server.connect();
    grpc = new GrpcClient(server.ready.address, credentials.createInsecure());
  });
  afterAll(async () => {
    grpc.close();
    await server[Symbol.asyncDispose]();
  });

  const newest = async (): Promise<number> => {
    for await (const { number } of client.versions()) return number;
    throw new Error('no version');
  };
  const filesOnDisk = async (): Promise<string[]> => (await readdir(join(server.ready.data, 'versions'))).sort();

  /** Calls ImportVersion with these pieces, then ends as `end` does. */
  function importByHand(pieces: readonly object[], end: 'end' | 'wait') {
    const method = serviceDefinition('AdminService').ImportVersion as MethodDefinition<object, object>;
    let call: ClientWritableStream<object> | undefined;
    const answer = new Promise<{ code: number; details: string }>((resolve) => {
      call = grpc.makeClientStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        new Metadata(),
        (error) => resolve({ code: error?.code ?? 0, details: error?.details ?? '' }),
      );
      for (const chunk of pieces) call.write({ chunk });
      if (end === 'end') call.end();
    });
    return { answer, cancel: () => call?.cancel() };
  }

  it('of PEFT are imported, go live like learned ones, and answer differently from the base', async () => {
    const prompt = { prompt: 'hello', temperature: 0, maxTokens: 24, ignoreEos: true };
    const before = await client.generate(prompt);
    const imported = await client.importVersion(peft);
    expect(imported).toMatchObject({ number: 1, origin: 'imported', state: 'candidate', weights: 'kept' });
    expect(imported.parent).toBeUndefined();
    expect(await decided(client, 1)).toMatchObject({ state: 'live', adapterDigest: imported.adapterDigest });
    const created = await firstEvent(client, 'version_created', 1);
    expect(created).toMatchObject({ adapterDigest: imported.adapterDigest, numbers: { rank: 5 } });
    const promoted = await firstEvent(client, 'version_promoted', 1);
    expect(promoted.numbers.probe_to_new).toBeLessThan((promoted.numbers.probe_to_previous ?? 0) / 10);
    const after = await client.generate(prompt);
    expect(after).toMatchObject({ version: 1, adapterDigest: imported.adapterDigest });
    expect(after.completions[0]?.tokenIds).not.toEqual(before.completions[0]?.tokenIds);
  });

  it('are exported and imported by the command with the same digest, and no folder is overwritten', async () => {
    const { address } = server.ready;
    const folder = join(temporaryFolder(), 'adapter');
    const exported = await hone(address, 'versions', 'export', '1', folder, '--json');
    expect(exported.code, exported.err).toBe(0);
    expect(JSON.parse(exported.out)).toMatchObject({ version: 1, folder });
    expect((await readdir(folder)).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'version.json',
    ]);
    const again = await hone(address, 'versions', 'export', '1', folder);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('exists') });

    const imported = await hone(address, 'versions', 'import', folder, '--json');
    expect(imported.code, imported.err).toBe(0);
    const version = JSON.parse(imported.out) as Version;
    expect(version).toMatchObject({ origin: 'imported', adapterDigest: (await client.version(1)).adapterDigest });
    await decided(client, version.number);

    const config = join(folder, 'adapter_config.json');
    await rm(join(folder, 'version.json'));
    await writeFile(config, (await readFile(config, 'utf8')).replace('"LORA"', '"IA3"'));
    const refused = await hone(address, 'versions', 'import', folder);
    expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('IA3') });
    await rm(join(folder, 'adapter_model.safetensors'));
    expect(await hone(address, 'versions', 'import', folder)).toMatchObject({ code: 2 });
  });

  it('are exported by the client; that of the base is the zero adapter', async () => {
    const files = await client.exportVersion(0);
    expect(JSON.parse(Buffer.from(files['version.json'] ?? []).toString())).toMatchObject({
      adapterDigest: (await client.version(0)).adapterDigest,
      origin: 'base',
    });
    await expect(client.exportVersion(99)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
  });

  describe('of a broken stream leave nothing behind:', () => {
    const weights = peft['adapter_model.safetensors'] as Uint8Array;
    const config = peft['adapter_config.json'] as Uint8Array;
    const whole = { name: 'adapter_config.json', size: config.length, data: config };
    const half = { name: 'adapter_model.safetensors', size: weights.length, data: weights.subarray(0, 4000) };
    it.each<[string, readonly object[], number, string]>([
      ['a file that ends early', [whole, half], status.INVALID_ARGUMENT, 'after 4000'],
      ['a file that goes on for too long', [whole, { ...half, size: 10 }], status.INVALID_ARGUMENT, 'longer'],
      ['a piece before any file', [{ data: config }], status.INVALID_ARGUMENT, 'first piece'],
      ['a path in the place of a name', [{ ...whole, name: '../x' }], status.INVALID_ARGUMENT, 'without folders'],
      ['a file that comes twice', [whole, whole], status.INVALID_ARGUMENT, 'second time'],
      ['more bytes than fit', [{ ...half, size: 2 ** 40 }], status.INVALID_ARGUMENT, 'at most'],
      ['no files', [], status.INVALID_ARGUMENT, 'lacks adapter_config.json'],
      [
        'no adapter',
        [whole, { ...half, size: 3, data: config.subarray(0, 3) }],
        status.INVALID_ARGUMENT,
        'safetensors',
      ],
    ])('%s', async (_, pieces, code, message) => {
      const before = [await newest(), await filesOnDisk()];
      const answer = await importByHand(pieces, 'end').answer;
      expect(answer).toMatchObject({ code, details: expect.stringContaining(message) });
      expect([await newest(), await filesOnDisk()]).toEqual(before);
    });

    it('a second import during the first one, which makes room when its caller leaves', async () => {
      const before = [await newest(), await filesOnDisk()];
      const first = importByHand([whole, half], 'wait');
      const second = async () => (await importByHand([whole, half], 'end').answer).code;
      await until(async () => (await second()) === status.RESOURCE_EXHAUSTED, 'the second was refused');
      first.cancel();
      expect((await first.answer).code).toBe(status.CANCELLED);
      await until(async () => (await second()) === status.INVALID_ARGUMENT, 'the first was over');
      expect([await newest(), await filesOnDisk()]).toEqual(before);
    });
  });

  it('of old versions are removed, as an event and the list report, and these versions cannot serve again', async () => {
    // Version 1 is the oldest version with files.
    for (let i = 0; i < 4; i++) await decided(client, (await client.importVersion(peft)).number);
    const event = await firstEvent(client, 'adapters_removed');
    expect(event).toMatchObject({ detail: expect.stringContaining('1'), numbers: { versions: 1 } });
    expect(event.numbers.bytes).toBeGreaterThan(10_000);
    expect(await client.version(1)).toMatchObject({ state: 'retired', weights: 'removed' });
    expect(await filesOnDisk()).not.toContain('000001');
    const { live } = await client.status();
    for (const call of [() => client.rollback(1), () => client.exportVersion(1)]) {
      await expect(call()).rejects.toMatchObject({
        code: 'VERSION_NOT_SERVABLE',
        message: expect.stringContaining('removed'),
      });
    }
    expect((await client.status()).live).toEqual(live);
    const listed = await hone(server.ready.address, 'versions', '--limit', '0');
    expect(listed.out).toMatch(/^ *1 +retired +imported .*removed/m);
    expect(listed.out).toMatch(
      new RegExp(`^ *${live.number} +live +imported .*${live.adapterDigest.slice(0, 12)}`, 'm'),
    );
  });
});

it('a learner continues from an imported adapter of another rank and scale, and a larger one is refused', async () => {
  await using server = await startServer({ args: [...eagerLearner, '--rank', '8'] });
  const client = await server.connect();
  const { number } = await client.importVersion(peft);
  expect(await decided(client, number)).toMatchObject({ state: 'live' });
  const learned = await playUntil(client, number + 1);
  expect(learned).toMatchObject({ origin: 'learned', parent: number });
  const files = await client.exportVersion(learned.number);
  const rank = JSON.parse(Buffer.from(files['adapter_config.json'] ?? []).toString()).r as number;
  expect(rank).toBe(8);

  await using small = await startServer({ args: [...eagerLearner, '--rank', '4'] });
  const refusing = await small.connect();
  await expect(refusing.importVersion(peft)).rejects.toMatchObject({
    code: 'ADAPTER_MISMATCH',
    status: 'FAILED_PRECONDITION',
    message: expect.stringContaining('--rank 5'),
  });
  expect((await refusing.status()).live.number).toBe(0);
});

it('a version of one server serves in another with the same weights', async () => {
  await using first = await startServer({ args: ['--adapters', 'on'] });
  await using second = await startServer({ args: ['--adapters', 'on'] });
  const [from, to] = [await first.connect(), await second.connect()];
  await decided(from, (await from.importVersion(peft)).number);
  const files: AdapterFiles = await from.exportVersion(1);
  await decided(to, (await to.importVersion(files)).number);
  const prompt = { prompt: 'the same?', seed: 7, n: 4, maxTokens: 32, logprobs: true };
  const [a, b] = [await from.generate(prompt), await to.generate(prompt)];
  expect(b.adapterDigest).toBe(a.adapterDigest);
  expect(b.completions.map(({ text, logprobs }) => [text, logprobs])).toEqual(
    a.completions.map(({ text, logprobs }) => [text, logprobs]),
  );
});

it('a server without room for adapters in its steps refuses an import, names the flag that helps, and writes nothing', async () => {
  await using server = await startServer();
  const client = await server.connect();
  await expect(client.importVersion(peft)).rejects.toMatchObject({
    code: 'VERSION_NOT_SERVABLE',
    message: expect.stringContaining('--adapters on'),
  });
  expect((await client.status()).live.number).toBe(0);
  await expect(client.version(1)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
});
