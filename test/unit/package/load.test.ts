import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeModel, encodeModel } from '../../../src/onnx/index.js';
import { loadPackage } from '../../../src/package/index.js';
import { tinyDirectory } from './tiny.js';

let directory: string;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'hone-package-')), 'tiny');
  await cp(tinyDirectory, directory, { recursive: true });
});

afterEach(() => rm(join(directory, '..'), { recursive: true, force: true }));

async function edit(file: string, change: (value: Record<string, unknown>) => void): Promise<void> {
  const value = JSON.parse(await readFile(join(directory, file), 'utf8'));
  change(value);
  await writeFile(join(directory, file), JSON.stringify(value));
}

describe('loading a package', () => {
  test('gives configuration, name and paths', async () => {
    const pkg = await loadPackage(directory);
    expect(pkg.name).toBe('tiny');
    expect(pkg.modelPath).toBe(join(directory, 'onnx/model.onnx'));
    expect(pkg.config).toEqual({
      modelType: 'llama',
      layers: 2,
      hiddenSize: 32,
      heads: 4,
      kvHeads: 2,
      headSize: 8,
      vocabularySize: 260,
      contextLength: 128,
      bosTokenId: null,
      eosTokenIds: [256],
    });
  });

  test('the digest does not depend on the place, and changes with any byte of any part', async () => {
    const { digest } = await loadPackage(directory);
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect((await loadPackage(tinyDirectory)).digest).toBe(digest);
    const seen = new Set([digest]);
    for (const file of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
      const before = await readFile(join(directory, file), 'utf8');
      await writeFile(join(directory, file), `${before}\n`);
      seen.add((await loadPackage(directory)).digest);
      await writeFile(join(directory, file), before);
    }
    const model = await readFile(join(directory, 'onnx/model.onnx'));
    const graph = decodeModel(model);
    const weight = graph.initializers.get('model.norm.weight')?.data as Uint8Array;
    weight[0] = (weight[0] as number) ^ 1;
    await writeFile(join(directory, 'onnx/model.onnx'), encodeModel(graph));
    seen.add((await loadPackage(directory)).digest);
    expect(seen.size).toBe(6);
  });

  test('weights in an external file belong to the digest, and their absence is an error that names the file', async () => {
    const path = join(directory, 'onnx/model.onnx');
    const graph = decodeModel(await readFile(path));
    const weight = graph.initializers.get('model.norm.weight');
    if (weight === undefined) throw new Error('the fixture has no model.norm.weight');
    const bytes = weight.data as Uint8Array;
    const data = { location: 'model.onnx_data', offset: 0, length: bytes.length };
    graph.initializers.set('model.norm.weight', { ...weight, data });
    await writeFile(path, encodeModel(graph));
    await expect(loadPackage(directory)).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining('model.onnx_data'),
    });
    await writeFile(join(directory, 'onnx/model.onnx_data'), bytes);
    const { digest } = await loadPackage(directory);
    bytes[0] = (bytes[0] as number) ^ 1;
    await writeFile(join(directory, 'onnx/model.onnx_data'), bytes);
    expect((await loadPackage(directory)).digest).not.toBe(digest);
  });

  test('generation_config.json may be absent: config.json knows the end of a sequence', async () => {
    await rm(join(directory, 'generation_config.json'));
    expect((await loadPackage(directory)).config.eosTokenIds).toEqual([256]);
  });

  const refusals: [string, () => Promise<void>, string][] = [
    ['a folder without config.json', () => rm(join(directory, 'config.json')), 'config.json'],
    ['a tokenizer that is not JSON', () => writeFile(join(directory, 'tokenizer.json'), '{'), 'tokenizer.json'],
    ['a torn model file', () => writeFile(join(directory, 'onnx/model.onnx'), 'not a model'), 'model.onnx'],
    [
      'a configuration without layers',
      () => edit('config.json', (c) => delete c.num_hidden_layers),
      'num_hidden_layers',
    ],
    [
      'more layers than the model has',
      () => edit('config.json', (c) => (c.num_hidden_layers = 3)),
      'past_key_values.2',
    ],
    ['a vocabulary smaller than the tokenizer', () => edit('config.json', (c) => (c.vocab_size = 100)), 'vocab_size'],
    ['an end token beyond the vocabulary', () => edit('generation_config.json', (c) => (c.eos_token_id = 999)), '999'],
    [
      'a tokenizer of another kind',
      () => edit('tokenizer.json', (t) => ((t.model as Record<string, unknown>).type = 'Unigram')),
      'model.type',
    ],
    [
      'a template that does not parse',
      () => edit('tokenizer_config.json', (c) => (c.chat_template = '{% for %}')),
      'template',
    ],
  ];
  test.each(refusals)('refuses %s and says where', async (_, damage, where) => {
    await damage();
    await expect(loadPackage(directory)).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining(where),
    });
  });
});
