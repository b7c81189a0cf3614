/** Folders of every layout and form, prepared and opened. */

import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, rename, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { elementCount, type Tensor, WeightReader } from '../../../src/onnx/index.js';
import { loadPackage, readDecoder } from '../../../src/package/index.js';
import { type PrepareOptions, preparePackage } from '../../../src/preparation/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { tinyDirectory } from '../../support/tiny.js';
import { writeTinyAt, writeTinyCheckpoint, writeTinyFloat16 } from '../../support/tiny-forms.js';

const cache = () => join(temporaryFolder(), 'cache');

function prepare(directory: string, options: Partial<PrepareOptions> = {}) {
  return preparePackage(directory, { cacheDirectory: cache(), memoryBytes: 2 ** 30, ...options });
}

/** Opens the package and returns one of its weights. */
async function weightsOf(directory: string): Promise<Float32Array> {
  const graph = await readDecoder((await loadPackage(directory)).modelPath);
  const tensor = graph.initializers.get('model.layers.1.mlp.down_proj.weight') as Tensor;
  const reader = new WeightReader(graph);
  try {
    return await reader.floats(tensor, 0, elementCount(tensor.dims));
  } finally {
    await reader.close();
  }
}

describe('a folder in the usual layout', () => {
  it('is opened as it is, and nothing is written', async () => {
    const cacheDirectory = cache();
    const prepared = await prepare(tinyDirectory, { cacheDirectory });
    expect(prepared).toMatchObject({ directory: tinyDirectory, way: 'as_is', modelFile: 'onnx/model.onnx' });
    expect(existsSync(cacheDirectory)).toBe(false);
  });

  it('is left to be refused when its model cannot be read', async () => {
    const folder = temporaryFolder();
    await writeTinyAt(folder, 'onnx/model.onnx');
    await writeFile(join(folder, 'onnx/model.onnx'), 'no model');
    const prepared = await prepare(folder);
    expect(prepared.directory).toBe(folder);
    await expect(loadPackage(prepared.directory)).rejects.toMatchObject({ code: 'PACKAGE_INVALID' });
  });
});

describe('a model in another place', () => {
  it.each(['model.onnx', 'onnx/model_q4.onnx', 'model_fp16.onnx'])('%s is linked', async (path) => {
    const folder = join(temporaryFolder(), 'some-model');
    await writeTinyAt(folder, path);
    const { directory, way, modelFile } = await prepare(folder);
    expect([way, modelFile]).toEqual(['linked', path]);
    const [linked, original] = [await loadPackage(directory), await loadPackage(tinyDirectory)];
    expect(linked.digest).toBe(original.digest);
    expect(linked.name).toBe('some-model');
  });

  it('is linked from a folder of ONNX Runtime GenAI, with the files of that folder first', async () => {
    const folder = temporaryFolder();
    const place = join(folder, 'cpu_and_mobile/cpu-int4');
    await writeTinyAt(place, 'model.onnx');
    await writeFile(join(place, 'genai_config.json'), '{}');
    await cp(join(place, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    await writeFile(join(folder, 'config.json'), 'of something else');
    const { directory, modelFile } = await prepare(folder);
    expect(modelFile).toBe('cpu_and_mobile/cpu-int4/model.onnx');
    expect((await loadPackage(directory)).config.layers).toBe(2);
  });

  it('is found again, and made anew when the file has changed', async () => {
    const folder = temporaryFolder();
    await writeTinyAt(folder, 'model.onnx');
    const cacheDirectory = cache();
    const first = await prepare(folder, { cacheDirectory });
    expect((await prepare(folder, { cacheDirectory })).directory).toBe(first.directory);
    await utimes(join(folder, 'model.onnx'), 5, 5);
    expect((await prepare(folder, { cacheDirectory })).directory).not.toBe(first.directory);
  });
});

describe('several forms', () => {
  const twoForms = async (): Promise<string> => {
    const folder = temporaryFolder();
    await writeTinyFloat16(folder, 'onnx/model_fp16.onnx');
    await cp(join(tinyDirectory, 'onnx/model.onnx'), join(folder, 'model.onnx'));
    return folder;
  };

  it('are named with the one that is taken and the reason', async () => {
    const notes: string[] = [];
    await prepare(await twoForms(), { onNote: (note) => notes.push(note) });
    expect(notes[0]).toMatch(/^model\.onnx is served: the most exact form/);
    expect(notes[0]).toMatch(/onnx\/model_fp16\.onnx/);
  });

  it('are chosen from with --model-file', async () => {
    const prepared = await prepare(await twoForms(), { modelFile: 'onnx/model_fp16.onnx' });
    expect(prepared).toMatchObject({ way: 'numbers', modelFile: 'onnx/model_fp16.onnx' });
  });

  it.each([
    ['onnx/model_q4.onnx', /is not there.*There are: .*model_fp16\.onnx/],
    ['config.json', /is neither an \.onnx file nor a checkpoint/],
    ['../model.onnx', /is not there/],
  ])('do not answer to %s', async (modelFile, message) => {
    await expect(prepare(await twoForms(), { modelFile })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(message),
    });
  });

  it('may be none, and then the error says what is looked for', async () => {
    await expect(prepare(temporaryFolder())).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining('model.safetensors'),
    });
    await expect(prepare(join(temporaryFolder(), 'nothing'))).rejects.toMatchObject({ code: 'PACKAGE_INVALID' });
  });
});

describe('numbers in float16', () => {
  it('are written in float32, also when the file is in its usual place', async () => {
    const folder = temporaryFolder();
    await writeTinyFloat16(folder);
    const { directory, way } = await prepare(folder);
    expect(way).toBe('numbers');
    const [written, original] = [await weightsOf(directory), await weightsOf(tinyDirectory)];
    expect(Math.max(...written.map((value, i) => Math.abs(value - (original[i] as number))))).toBeLessThan(1e-3);
  });

  it('are quantised to the bits that are asked for', async () => {
    const folder = temporaryFolder();
    await writeTinyFloat16(folder);
    const { directory, way } = await prepare(folder, { bits: 8 });
    expect(way).toBe('quantized');
    const { modelPath } = await loadPackage(directory);
    expect((await readDecoder(modelPath)).nodes.map(({ op }) => op)).toContain('MatMulNBits');
  });
});

describe('a checkpoint', () => {
  it('is written as a package with the same weights', async () => {
    const folder = join(temporaryFolder(), 'fine-tune');
    await writeTinyCheckpoint(folder);
    const { directory, way } = await prepare(folder);
    expect([way, basename(directory)]).toEqual(['checkpoint', 'fine-tune']);
    expect(await weightsOf(directory)).toEqual(await weightsOf(tinyDirectory));
  });

  it.each([8, 4] as const)('is written with weights of %d bits', async (bits) => {
    const folder = temporaryFolder();
    await writeTinyCheckpoint(folder);
    const { modelPath } = await loadPackage((await prepare(folder, { bits })).directory);
    const { nodes } = await readDecoder(modelPath);
    const product = nodes.find(({ op }) => op === 'MatMulNBits');
    expect(product?.attributes.bits).toEqual({ i: bits });
  });

  it('is made once by two at the same time, and is there only when it is whole', async () => {
    const folder = temporaryFolder();
    await writeTinyCheckpoint(folder);
    const cacheDirectory = cache();
    const notes: string[] = [];
    const onNote = (note: string) => notes.push(note);
    const both = [1, 2].map(() => prepare(folder, { cacheDirectory, onNote }));
    const [one, other] = await Promise.all(both);
    expect(one?.directory).toBe(other?.directory);
    expect(notes.filter((note) => note.includes('this is done once'))).toHaveLength(1);
    expect(notes).toContainEqual(expect.stringContaining('waiting for it'));
  });

  it('that was stopped goes on the next time, and leaves nothing half made', async () => {
    const folder = temporaryFolder();
    await writeTinyCheckpoint(folder);
    const cacheDirectory = cache();
    const stop = new AbortController();
    const stopped = prepare(folder, { cacheDirectory, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
    const [key = ''] = readdirSync(join(cacheDirectory, 'packages')).filter((name) => !name.endsWith('.lock'));
    const names = readdirSync(join(cacheDirectory, 'packages', key));
    expect(names).toEqual([expect.stringMatching(/\.partial$/)]);
    const { directory } = await prepare(folder, { cacheDirectory });
    expect(await weightsOf(directory)).toEqual(await weightsOf(tinyDirectory));
    expect(readdirSync(join(cacheDirectory, 'packages', key)).sort()).toEqual([basename(directory), 'source.json']);
  });

  it('of a download cache is named after its repository, and known by the hash of its files', async () => {
    const root = join(temporaryFolder(), 'models--someone--fine-tune');
    const snapshot = join(root, 'snapshots/0123456789abcdef0123456789abcdef01234567');
    await writeTinyCheckpoint(snapshot);
    const blob = join(root, 'blobs', 'a'.repeat(64));
    await mkdir(join(root, 'blobs'), { recursive: true });
    await rename(join(snapshot, 'model.safetensors'), blob);
    await symlink(blob, join(snapshot, 'model.safetensors'));
    const cacheDirectory = cache();
    const first = await prepare(snapshot, { cacheDirectory });
    expect(basename(first.directory)).toBe('fine-tune');
    await utimes(blob, 5, 5);
    expect((await prepare(snapshot, { cacheDirectory })).directory).toBe(first.directory);
    expect((await stat(first.directory)).isDirectory()).toBe(true);
  });
});
