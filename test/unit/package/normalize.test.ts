/**
 * Decoders in the forms of other exporters: decode and training variants compute what onnxruntime computes of the file.
 */

import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { weightShapes } from '../../../models/recipe/decoder.js';
import { writePackage } from '../../../models/recipe/package.js';
import { createOnnxEngine } from '../../../src/learner/index.js';
import { elementCount, encodeModel, float32Tensor, type Graph, readModel } from '../../../src/onnx/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../../src/package/index.js';
import { normalizeDecoder } from '../../../src/package/normalize.js';
import { Random } from '../../../src/policy/sampling/random.js';
import { type Adapter, zeroAdapter } from '../../../src/versions/index.js';
import { exportForms, normHeads, slideCache, turnHalves, turnHalvesInside } from '../../support/export-forms.js';
import { decodeLogits, ownLogits } from '../../support/file-logits.js';
import { temporaryFolder } from '../../support/folders.js';
import { largestDifference, logSoftmax, randomTokens } from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

const scale = 2;
const tokens = randomTokens(24, 4);
let root: string;
let baseModules: string[];

/** As the tiny package, but with heads of size 16, because onnxruntime rotates no smaller ones inside attention. */
const shape = {
  layers: 2,
  hiddenSize: 32,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  ffnSize: 48,
  vocabularySize: 260,
  contextLength: 128,
  ropeTheta: 10_000,
  rmsNormEpsilon: 1e-5,
};
let base: string;

beforeAll(async () => {
  root = temporaryFolder();
  base = join(root, 'base');
  await cp(tinyDirectory, base, { recursive: true });
  const random = new Random(5);
  const weights = new Map(
    [...weightShapes(shape)].map(([name, dims]) => {
      const draw = () => (name.includes('norm') ? 0.5 + random.uniform() : 0.6 * (random.uniform() - 0.5));
      return [name, float32Tensor(Float32Array.from({ length: elementCount(dims) }, draw), dims)] as const;
    }),
  );
  await writePackage(base, { shape, weights, tokenizerFiles: {}, endTokenId: 256 });
  baseModules = findLinears(await readModel(join(base, 'onnx/model.onnx'))).map(({ module }) => module);
});

async function packageIn(apply: (graph: Graph) => void, fields: Record<string, unknown> = {}): Promise<Package> {
  const directory = temporaryFolder();
  await cp(base, directory, { recursive: true });
  const configPath = join(directory, 'config.json');
  const config = JSON.parse(await readFile(configPath, 'utf8')) as Record<string, unknown>;
  await writeFile(configPath, JSON.stringify({ ...config, ...fields }));
  const path = join(directory, 'onnx/model.onnx');
  const graph = await readModel(path);
  apply(graph);
  graph.prune();
  await writeFile(path, encodeModel(graph));
  return loadPackage(directory);
}

async function adapterOf({ modelPath }: Package, seed: number): Promise<Adapter> {
  const adapter = zeroAdapter(findLinears(await readDecoder(modelPath)), 3, scale);
  const random = new Random(seed);
  if (seed === 0) return adapter;
  for (const { data } of adapter.tensors.values()) {
    for (let i = 0; i < data.length; i++) data[i] = 0.4 * (random.uniform() - 0.5);
  }
  return adapter;
}

/** Returns ln p of all tokens after the fifth, computed by the training variant. */
async function trainedLogprob(pkg: Package, { rank, tensors }: Adapter): Promise<number> {
  const engine = await createOnnxEngine({ packageDirectory: pkg.directory, rank, scale, threads: 1 });
  const row = { promptTokens: tokens.slice(0, 5), completionTokens: tokens.slice(5) };
  const [logprob] = await engine.logProbabilities([row], new Map(tensors));
  await engine.close();
  return logprob as number;
}

const summed = (logits: readonly Float32Array[]): number =>
  tokens.slice(5).reduce((sum, token, i) => sum + (logSoftmax(logits[i] as Float32Array)[token] as number), 0);

const likeliest = (logits: Float32Array): number => logits.indexOf(Math.max(...logits));

describe.each(exportForms)('a decoder $name', ({ apply, sameLinears = true }) => {
  test('has the same logits and log-probabilities in both variants as in its own file', async () => {
    const pkg = await packageIn(apply);
    const zero = await adapterOf(pkg, 0);
    const own = (await ownLogits(pkg, tokens)).slice(4);
    const decoded = await decodeLogits(pkg, tokens, zero);
    for (const [i, logits] of decoded.entries()) {
      expect(largestDifference(logits, own[i] as Float32Array)).toBeLessThan(1e-5);
      expect(likeliest(logits)).toBe(likeliest(own[i] as Float32Array));
    }
    expect(Math.abs((await trainedLogprob(pkg, zero)) - summed(own))).toBeLessThan(1e-4);
  });

  test("takes adapters named after the checkpoint's modules, with the same effect in both variants", async () => {
    const pkg = await packageIn(apply);
    const adapter = await adapterOf(pkg, 7);
    const modules = [...adapter.tensors.keys()]
      .filter((name) => name.endsWith('.lora_A'))
      .map((name) => name.slice(0, -7));
    if (sameLinears) expect(modules).toEqual(baseModules);
    else expect(modules).toContain('model.layers.1.self_attn.qkv_proj');
    const decoded = await decodeLogits(pkg, tokens, adapter);
    const plain = await decodeLogits(pkg, tokens, await adapterOf(pkg, 0));
    expect(largestDifference(decoded[0] as Float32Array, plain[0] as Float32Array)).toBeGreaterThan(1e-3);
    expect(Math.abs((await trainedLogprob(pkg, adapter)) - summed(decoded))).toBeLessThan(1e-4);
  });
});

describe('attention that onnxruntime for the CPU does not run', () => {
  const window = { model_type: 'mistral', sliding_window: 4 };
  test.each([
    ['norms of query and key inside', normHeads(false), normHeads(true), {}],
    ['rotations of a part of each small head inside', turnHalves, turnHalvesInside, {}],
    ['a cache that holds a window only', slideCache(false), slideCache(true), window],
  ])('with %s computes what the same model does in operators that it runs', async (_, plain, odd, fields) => {
    const reference = await packageIn(plain, fields);
    const pkg = await packageIn(odd, fields);
    const own = (await ownLogits(reference, tokens)).slice(4);
    const zero = await adapterOf(pkg, 0);
    for (const [i, logits] of (await decodeLogits(pkg, tokens, zero)).entries()) {
      expect(largestDifference(logits, own[i] as Float32Array)).toBeLessThan(1e-5);
    }
    expect(Math.abs((await trainedLogprob(pkg, zero)) - summed(own))).toBeLessThan(1e-4);
  });

  test.each([
    ['another window', { model_type: 'mistral', sliding_window: 5 }, 'says 5 keys'],
    ['no window', { model_type: 'llama' }, 'says all keys'],
    ['windows in some layers', { layer_types: ['full_attention', 'sliding_attention'], sliding_window: 4 }, 'all keys'],
    ['a pattern that Hone does not know', { model_type: 'of_tomorrow', sliding_window: 4 }, 'does not tell'],
    ['windows of no size', { layer_types: ['sliding_attention', 'sliding_attention'] }, 'does not tell'],
  ])('is refused if config.json has %s', async (_, fields, words) => {
    await expect(packageIn(slideCache(true), fields)).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining(words),
    });
  });
});

describe('normalizing a decoder', () => {
  const editAttention = (change: (inputs: string[]) => string[], graph: Graph) => {
    graph.nodes = graph.nodes.map((node) =>
      node.op === 'GroupQueryAttention'
        ? { ...node, inputs: change([...node.inputs]), attributes: { ...node.attributes, do_rotary: { i: 1 } } }
        : node,
    );
  };
  test.each([
    [
      'an attention_bias',
      (inputs: string[]) => [...inputs, 'rotary.cos', 'rotary.sin', '', 'attention_mask'],
      /input 10/,
    ],
    [
      'rotary tables that are computed',
      (inputs: string[]) => [...inputs, inputs[0], inputs[0]] as string[],
      /constant tables/,
    ],
  ])('refuses attention with %s', async (_, change, words) => {
    const graph = await readModel(join(tinyDirectory, 'onnx/model.onnx'));
    editAttention(change, graph);
    expect(() => normalizeDecoder(graph)).toThrowError(words);
  });
});
