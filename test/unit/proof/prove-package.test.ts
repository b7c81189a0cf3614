/** Packages compared with the file that they come from, in the real process of a proof. */

import { readdirSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkLearnerSettings } from '../../../src/learner/index.js';
import { encodeModel, float32Tensor, type Graph, readModel } from '../../../src/onnx/index.js';
import { loadPackage } from '../../../src/package/index.js';
import { type Proof, type ProveOptions, provePackage } from '../../../src/proof/index.js';
import { slideCache } from '../../support/export-forms.js';
import { temporaryFolder } from '../../support/folders.js';
import { editGraph, external, set } from '../../support/package-edits.js';
import { tinyDirectory } from '../../support/tiny.js';
import { writeTinyFloat16 } from '../../support/tiny-forms.js';

const model = join(tinyDirectory, 'onnx/model.onnx');
const settings = checkLearnerSettings({ threads: 1 });

async function prove(options: Partial<ProveOptions> = {}): Promise<Proof> {
  const packageDirectory = options.packageDirectory ?? tinyDirectory;
  return provePackage({
    packageDirectory,
    packageDigest: (await loadPackage(packageDirectory)).digest,
    modelFile: join(packageDirectory, 'onnx/model.onnx'),
    settings: null,
    threads: 1,
    cacheDirectory: temporaryFolder(),
    signal: new AbortController().signal,
    ...options,
  });
}

/** Writes a changed model beside nothing else. */
async function changedModel(change: (graph: Graph) => void): Promise<string> {
  const graph = await readModel(model);
  change(graph);
  const path = join(temporaryFolder(), 'model.onnx');
  await writeFile(path, encodeModel(graph));
  return path;
}

describe('a package that computes what its file says', () => {
  it('is proved for serving and learning', async () => {
    const proof = await prove({ settings });
    expect(proof).toMatchObject({
      outcome: 'equal',
      serving: { otherTokens: 0, tokens: 24 },
      learning: { tokens: 24 },
    });
    if (proof.outcome === 'unjudged') throw new Error(proof.reason);
    expect(proof.serving.difference).toBeLessThan(1e-4);
    expect(proof.learning?.difference).toBeLessThan(1e-4);
  });

  it('is proved once, and a proof for learning holds for serving', async () => {
    const cacheDirectory = temporaryFolder();
    let starts = 0;
    const onStart = (): void => {
      starts += 1;
    };
    const first = await prove({ settings, cacheDirectory, onStart });
    expect(await prove({ cacheDirectory, onStart })).toEqual(first);
    expect(starts).toBe(1);
    await prove({ cacheDirectory, onStart, packageDigest: 'another' });
    await prove({ settings, cacheDirectory, onStart, packageDigest: 'another' });
    expect(starts).toBe(3);
  });

  it('may have data in a file of its own, also behind a link', async () => {
    const packageDirectory = temporaryFolder();
    await cp(tinyDirectory, packageDirectory, { recursive: true });
    await external(() => undefined)(packageDirectory);
    expect(await prove({ packageDirectory })).toMatchObject({ outcome: 'equal' });
  });

  it('may have been written in float32 from float16, with the tolerance of 16 bits', async () => {
    const folder = temporaryFolder();
    await writeTinyFloat16(folder);
    const proof = await prove({ modelFile: join(folder, 'onnx/model.onnx') });
    expect(proof).toMatchObject({ outcome: 'equal', numbers: { tolerance: 0.3 }, serving: { tolerance: 0.002 } });
  });
});

describe('a package that computes something else', () => {
  it.each([
    ['a weight', 'model.layers.1.mlp.down_proj.weight'],
    ['a norm', 'model.layers.0.input_layernorm.weight'],
  ])('in %s is refused with the figures, and is compared again the next time', async (_, name) => {
    const modelFile = await changedModel(({ initializers }) => {
      const { dims } = initializers.get(name) as { dims: readonly number[] };
      const count = dims.reduce((product, dim) => product * dim, 1);
      initializers.set(name, float32Tensor(new Float32Array(count).fill(0.7), dims));
    });
    const cacheDirectory = temporaryFolder();
    await expect(prove({ modelFile, settings, cacheDirectory })).rejects.toMatchObject({
      code: 'PACKAGE_DIFFERS',
      message: expect.stringMatching(/numbers: .* nats.*, and \d+ of 24 tokens/),
    });
    expect(readdirSync(cacheDirectory)).toEqual([]);
  });
});

describe('a file that onnxruntime does not run', () => {
  it('leaves the package unjudged, with the reason', async () => {
    const packageDirectory = temporaryFolder();
    await cp(tinyDirectory, packageDirectory, { recursive: true });
    await editGraph(slideCache(true))(packageDirectory);
    await set('config.json', 'model_type', 'mistral')(packageDirectory);
    await set('config.json', 'sliding_window', 4)(packageDirectory);
    expect(await prove({ packageDirectory })).toEqual({
      outcome: 'unjudged',
      reason: expect.stringContaining('onnxruntime'),
    });
  });

  it('is left out of the comparison when what was written from it runs', async () => {
    const modelFile = await changedModel((graph) => {
      graph.inputs.set('images', { type: 'float32', dims: [1, 3] });
    });
    expect(await prove({ modelFile })).toMatchObject({ outcome: 'equal', numbers: null });
  });

  it('may be damaged, which is an error', async () => {
    const modelFile = join(temporaryFolder(), 'model.onnx');
    await writeFile(modelFile, (await readFile(model)).subarray(0, 1000));
    await expect(prove({ modelFile })).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });
});

it('a stopped start ends the process of the proof', async () => {
  const stop = new AbortController();
  const proof = prove({ signal: stop.signal, onStart: () => stop.abort() });
  await expect(proof).rejects.toMatchObject({ code: 'CANCELLED' });
});

it('a cache that cannot be written only costs time', async () => {
  const cacheDirectory = join(temporaryFolder(), 'file');
  await writeFile(cacheDirectory, '');
  expect(await prove({ cacheDirectory })).toMatchObject({ outcome: 'equal' });
});
