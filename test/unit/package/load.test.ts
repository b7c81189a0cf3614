import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeModel } from '../../../src/onnx/codec.js';
import { createSession, encodeModel, readModel, type Tensor } from '../../../src/onnx/index.js';
import { loadPackage } from '../../../src/package/index.js';
import { damages } from '../../support/damaged-packages.js';
import { temporaryFolder } from '../../support/folders.js';
import { tinyDirectory } from '../../support/tiny.js';

let directory: string;

beforeEach(async () => {
  directory = join(temporaryFolder(), 'tiny');
  await cp(tinyDirectory, directory, { recursive: true });
});

describe('loading a package', () => {
  test('returns configuration, name and path of the model', async () => {
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
      windows: [null, null],
      bosTokenId: null,
      eosTokenIds: [256],
      turnEndTokenId: 256,
      textEndTokenId: 256,
    });
  });

  test('computes a digest that does not depend on the folder and changes with any byte of any file', async () => {
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

  test('covers external weights by the digest, and names their file if it is missing', async () => {
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

  test('takes the end token from config.json if there is no generation_config.json', async () => {
    await rm(join(directory, 'generation_config.json'));
    expect((await loadPackage(directory)).config.eosTokenIds).toEqual([256]);
  });

  test('follows a symbolic link to the weights, as download caches have', async () => {
    const path = join(directory, 'onnx/model.onnx');
    const graph = decodeModel(await readFile(path));
    const weight = graph.initializers.get('model.norm.weight') as Tensor;
    const bytes = weight.data as Uint8Array;
    graph.initializers.set('model.norm.weight', {
      ...weight,
      data: { location: 'model.onnx_data', offset: 0, length: bytes.length },
    });
    await writeFile(path, encodeModel(graph));
    await writeFile(join(directory, '../blob'), bytes);
    await symlink('../../blob', join(directory, 'onnx/model.onnx_data'));
    await loadPackage(directory);
    await (await createSession(await readModel(path), { threads: 1 })).release();
  });

  test('takes a tokenizer that lists added tokens which the model does not have', async () => {
    const path = join(directory, 'tokenizer.json');
    const json = JSON.parse(await readFile(path, 'utf8'));
    json.added_tokens.push({ id: 260, content: '<|extra|>', special: false });
    await writeFile(path, JSON.stringify(json));
    const { config, tokenizer } = await loadPackage(directory);
    expect([config.vocabularySize, tokenizer.ownVocabularySize, tokenizer.vocabularySize]).toEqual([260, 256, 261]);
    expect(tokenizer.encodeText('<|extra|>')).toEqual([260]);
  });

  test.each(damages)('refuses a package with $name', async ({ apply, mentions, code = 'PACKAGE_INVALID' }) => {
    await apply(directory);
    const error = await loadPackage(directory).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: 'HoneError', code });
    expect(error.message).toContain(directory);
    for (const words of mentions) expect(error.message).toContain(words);
  });
});
