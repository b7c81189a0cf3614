import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AdapterFiles,
  decodeSafeTensors,
  digestAdapter,
  encodePeftWeights,
  openVersionLog,
  peftConfig,
  type VersionLog,
  writeAdapter,
  zeroAdapter,
} from '../../../src/versions/index.js';
import { meta, someAdapter, targets, zero } from '../../support/adapters.js';
import { temporaryFolder } from '../../support/folders.js';

async function open(directory = temporaryFolder()): Promise<VersionLog> {
  const log = await openVersionLog({ directory, packageDigest: meta.packageDigest, zeroAdapter: zero });
  onTestFinished(() => log.close());
  return log;
}

/** The files that PEFT writes; `over` changes the configuration. */
function peftFolder(over: Readonly<Record<string, unknown>> = {}, adapter = someAdapter(1)): AdapterFiles {
  const config = { ...peftConfig(adapter, 'some/model'), target_modules: ['q_proj', 'down_proj'], ...over };
  return {
    'adapter_model.safetensors': encodePeftWeights(adapter),
    'adapter_config.json': Buffer.from(JSON.stringify(config)),
  };
}

async function hasChanged(log: VersionLog, directory: string): Promise<boolean> {
  return log.list().length !== 1 || readdirSync(directory).some((name) => name !== 'log.jsonl');
}

describe('an exported version', () => {
  test('can be imported as a candidate with the same digest, which survives a restart', async () => {
    const directory = temporaryFolder();
    const log = await open(directory);
    const folder = join(temporaryFolder(), 'candidate');
    const adapterDigest = await writeAdapter(folder, someAdapter(1), meta);
    const metrics = { steps: 3 };
    await log.promote((await log.adopt({ directory: folder, adapterDigest, parent: 0, metrics })).number);
    const files = await log.export(1, 'tldr');
    expect(Object.keys(files).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'version.json']);
    expect(JSON.parse(Buffer.from(files['version.json'] as Uint8Array).toString())).toMatchObject({
      adapterDigest,
      number: 1,
      origin: 'learned',
      parent: 0,
      metrics,
    });
    const imported = await log.import(files);
    expect(imported).toMatchObject({ number: 2, origin: 'imported', state: 'candidate', parent: null, adapterDigest });
    expect(imported.metrics).toEqual({ steps: 3, rank: 2, scale: 1.7 });
    await log.close();
    const again = await open(directory);
    expect(again.get(2)).toEqual(imported);
    expect(await again.readAdapter(2)).toEqual(someAdapter(1));
  });

  test('is the zero adapter for a base, and for a rollback the weights that it serves again', async () => {
    const log = await open();
    await log.promote((await log.import(peftFolder())).number);
    await log.promote((await log.rollback(0)).number);
    await log.promote((await log.rollback(1)).number);
    for (const [number, adapter] of [
      [0, zero],
      [2, zero],
      [3, someAdapter(1)],
    ] as const) {
      const { version, weights } = await exported(log, number);
      expect(version).toMatchObject({ number, adapterDigest: digestAdapter(adapter) });
      expect(weights).toEqual(decodeSafeTensors(encodePeftWeights(adapter)));
    }
  });

  async function exported(log: VersionLog, number: number) {
    const files = await log.export(number, 'tldr');
    return {
      version: JSON.parse(Buffer.from(files['version.json'] as Uint8Array).toString()),
      weights: decodeSafeTensors(files['adapter_model.safetensors'] as Uint8Array),
    };
  }
});

describe('an imported adapter', () => {
  test.each<[string, AdapterFiles, string, RegExp]>([
    ['without a configuration', { 'adapter_model.safetensors': new Uint8Array() }, 'ADAPTER_REFUSED', /adapter_config/],
    ['of IA3', peftFolder({ peft_type: 'IA3' }), 'ADAPTER_REFUSED', /IA3/],
    ['of DoRA', peftFolder({ use_dora: true }), 'ADAPTER_REFUSED', /use_dora/],
    ['with a rank-stabilised scale', peftFolder({ use_rslora: true }), 'ADAPTER_REFUSED', /use_rslora/],
    ['with an unknown use_ setting', peftFolder({ use_newest: { a: 1 } }), 'ADAPTER_REFUSED', /use_newest/],
    ['with biases', peftFolder({ bias: 'all' }), 'ADAPTER_REFUSED', /bias/],
    ['with whole layers', peftFolder({ modules_to_save: ['lm_head'] }), 'ADAPTER_REFUSED', /modules_to_save/],
    ['with different ranks per layer', peftFolder({ rank_pattern: { q_proj: 4 } }), 'ADAPTER_REFUSED', /rank_pattern/],
    ['whose initialization changed the base', peftFolder({ init_lora_weights: 'pissa' }), 'ADAPTER_REFUSED', /pissa/],
    ['with another rank than its configuration names', peftFolder({ r: 4 }), 'ADAPTER_REFUSED', /rank 4/],
    [
      'that lacks a layer which it targets',
      peftFolder({}, someAdapter(1, zeroAdapter(targets.slice(1), 2, 1))),
      'ADAPTER_REFUSED',
      /incomplete.*q_proj/,
    ],
    [
      'of a layer that is not here',
      peftFolder({}, someAdapter(1, zeroAdapter([...targets, { module: 'x', inFeatures: 2, outFeatures: 2 }], 2, 1))),
      'ADAPTER_MISMATCH',
      /x\.lora/,
    ],
    [
      'of a layer of another width',
      peftFolder(
        {},
        someAdapter(
          1,
          zeroAdapter(
            targets.map((target) => ({ ...target, inFeatures: 7 })),
            2,
            1,
          ),
        ),
      ),
      'ADAPTER_MISMATCH',
      /lora_A/,
    ],
    ['without layers', peftFolder({ target_modules: [] }, zeroAdapter([], 2, 1)), 'ADAPTER_MISMATCH', /no matrices/],
    ['above the largest rank', peftFolder({}, zeroAdapter(targets, 257, 1)), 'ADAPTER_MISMATCH', /257/],
  ])('%s is refused with the reason, and nothing is written', async (_, files, code, message) => {
    const directory = temporaryFolder();
    const log = await open(directory);
    await expect(log.import(files)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await hasChanged(log, directory)).toBe(false);
  });

  test('that Hone exported is refused if one bit of it changed or it belongs to another package', async () => {
    const directory = temporaryFolder();
    const log = await open(directory);
    const files = await log.export(0, 'tldr');
    const weights = Buffer.from(files['adapter_model.safetensors'] as Uint8Array);
    weights[weights.length - 3] = 1;
    await expect(log.import({ ...files, 'adapter_model.safetensors': weights })).rejects.toThrow(/digest/);
    const elsewhere = Buffer.from(
      Buffer.from(files['version.json'] as Uint8Array)
        .toString()
        .replace(/a{64}/, 'b'.repeat(64)),
    );
    await expect(log.import({ ...files, 'version.json': elsewhere })).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: expect.stringContaining('without version.json'),
    });
    expect(await hasChanged(log, directory)).toBe(false);
  });

  test('with thousands of metrics is refused, because every list of versions would repeat them', async () => {
    const directory = temporaryFolder();
    const log = await open(directory);
    const files = await log.export(0, 'tldr');
    const record = JSON.parse(Buffer.from(files['version.json'] as Uint8Array).toString());
    const withMetrics = (metrics: object) => ({
      ...files,
      'version.json': Buffer.from(JSON.stringify({ ...record, metrics })),
    });
    for (const metrics of [
      Object.fromEntries(Array.from({ length: 257 }, (_, i) => [i, 1])),
      { ['m'.repeat(129)]: 1 },
    ]) {
      await expect(log.import(withMetrics(metrics))).rejects.toMatchObject({
        code: 'ADAPTER_REFUSED',
        message: expect.stringContaining('at most 256'),
      });
    }
    expect(await hasChanged(log, directory)).toBe(false);
    await log.import(withMetrics({ ['m'.repeat(128)]: 1 }));
  });

  test("with a rank above the learner's is refused, with the flag that helps", async () => {
    const log = await open();
    await expect(log.import(peftFolder({}, someAdapter(1, zeroAdapter(targets, 4, 1))), 2)).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: expect.stringContaining('--rank 4'),
    });
    expect((await log.import(peftFolder(), 2)).number).toBe(1);
  });

  test('gets zero matrices for the layers that it leaves out', async () => {
    const log = await open();
    const some = someAdapter(1, zeroAdapter(targets.slice(1), 2, 3));
    await log.import(peftFolder({ target_modules: ['down_proj'] }, some));
    const { tensors, scale } = await log.readAdapter(1);
    expect(scale).toBe(3);
    expect(tensors.get('model.layers.1.mlp.down_proj.lora_A')).toEqual(
      some.tensors.get('model.layers.1.mlp.down_proj.lora_A'),
    );
    expect(tensors.get('model.layers.0.self_attn.q_proj.lora_B')?.data.every((value) => value === 0)).toBe(true);
  });

  test('leaves no files if its version cannot be recorded', async () => {
    const directory = temporaryFolder();
    const log = await open(directory);
    await log.close();
    await expect(log.import(peftFolder())).rejects.toMatchObject({ code: 'DRAINING' });
    expect(existsSync(join(directory, '000001'))).toBe(false);
  });

  test('of the largest rank fits the limit in bytes', async () => {
    const log = await open();
    const largest = zeroAdapter(targets, 256, 1);
    const files = Object.values(peftFolder({}, largest));
    const bytes = files.reduce((sum, { length }) => sum + length, 0);
    expect(log.maxImportBytes).toBeGreaterThan(bytes);
    expect(log.maxImportBytes).toBeLessThan(bytes + 2 ** 20);
    expect((await log.import(peftFolder({}, largest))).metrics.rank).toBe(256);
  });
});

test('float16 and bfloat16 are read as equal float32 values', () => {
  const halves = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x3555, 0x7c00, 0xfe00];
  expect([...read('F16', halves)]).toEqual([
    0,
    -0,
    1,
    -2,
    65504,
    2 ** -24,
    2 ** -14,
    0.333251953125,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ]);
  expect([...read('BF16', [0x0000, 0x3f80, 0xc000, 0x7f80, 0x4049])]).toEqual([
    0,
    1,
    -2,
    Number.POSITIVE_INFINITY,
    3.140625,
  ]);

  function read(dtype: string, values: readonly number[]): Float32Array {
    const header = JSON.stringify({ a: { dtype, shape: [values.length], data_offsets: [0, 2 * values.length] } });
    const file = Buffer.alloc(8 + header.length + 2 * values.length);
    file.writeBigUInt64LE(BigInt(header.length));
    file.write(header, 8);
    for (const [i, value] of values.entries()) file.writeUInt16LE(value, 8 + header.length + 2 * i);
    return decodeSafeTensors(file).tensors.get('a')?.data ?? new Float32Array();
  }
});
