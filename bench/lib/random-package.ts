/**
 * Builds a package of a given shape with random weights, because speed only depends on the shape. It is built once per
 * machine into a cache folder, with the same bytes every time. The weights are external data, as in any large export.
 */

import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DecoderShape, weightShapes } from '../../models/recipe/decoder.js';
import { writePackage } from '../../models/recipe/package.js';
import { elementCount, type Tensor } from '../../src/onnx/index.js';
import { say } from './progress.js';
import { tinyPackage } from './project.js';

/** The shape of SmolLM2-135M: 134.5 million parameters. */
export const shape135M: DecoderShape = {
  layers: 30,
  hiddenSize: 576,
  heads: 9,
  kvHeads: 3,
  headSize: 64,
  ffnSize: 1536,
  vocabularySize: 49_152,
  contextLength: 2048,
  ropeTheta: 100_000,
  rmsNormEpsilon: 1e-5,
};

/** The shape of Qwen2.5-0.5B, without the biases of its attention: 494 million parameters. */
export const shape05B: DecoderShape = {
  layers: 24,
  hiddenSize: 896,
  heads: 14,
  kvHeads: 2,
  headSize: 64,
  ffnSize: 4864,
  vocabularySize: 151_936,
  contextLength: 2048,
  ropeTheta: 1_000_000,
  rmsNormEpsilon: 1e-6,
};

const formatVersion = 1;
const dataFile = 'model.onnx_data';
/** Weights start at page boundaries, so that they can be mapped into memory. */
const alignment = 4096;

/** Builds the package, unless it is in the cache. Takes some seconds and 540 MB for 135M, 2 GB for 0.5B. @returns its folder */
export async function openRandomPackage(name: string, shape: DecoderShape): Promise<string> {
  const directory = join(tmpdir(), 'hone-bench', `${name}-v${formatVersion}`);
  if (existsSync(directory)) return directory;
  say(`building a random-weight package of ${name} shape in ${directory} ...`);
  const draft = `${directory}.${process.pid}`;
  await mkdir(join(draft, 'onnx'), { recursive: true });
  try {
    const weights = await writeWeights(join(draft, 'onnx', dataFile), shape);
    await writePackage(draft, { shape, weights, tokenizerFiles: await tokenizerFiles(), endTokenId: 256 });
    await rename(draft, directory);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return directory;
}

/** Streams the weights into a file, in the order of the forward pass. */
async function writeWeights(path: string, shape: DecoderShape): Promise<Map<string, Tensor>> {
  const file = createWriteStream(path);
  const weights = new Map<string, Tensor>();
  const random = createUniform(1);
  let offset = 0;
  for (const [name, dims] of weightShapes(shape)) {
    const data = randomWeight(name, dims, random);
    const length = data.byteLength;
    weights.set(name, { type: 'float32', dims, data: { location: dataFile, offset, length } });
    const padded = Buffer.alloc(Math.ceil(length / alignment) * alignment);
    padded.set(new Uint8Array(data.buffer));
    offset += padded.length;
    if (!file.write(padded)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return weights;
}

/** Draws norms near 1, and scales embeddings and linear layers so that activations and logits stay of order 1. */
function randomWeight(name: string, dims: readonly number[], random: () => number): Float32Array {
  const data = new Float32Array(elementCount(dims));
  if (name.includes('norm')) return data.fill(1);
  const scale = name.includes('embed') ? 0.04 : Math.sqrt(3 / (dims[0] as number));
  for (let i = 0; i < data.length; i++) data[i] = scale * random();
  return data;
}

/** Returns numbers in (-1, 1) by Xorshift32, the same on every machine. */
function createUniform(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  };
}

/** Reads the tokenizer files of the test package. It does not matter, because benches feed tokens instead of text. */
async function tokenizerFiles(): Promise<Record<string, unknown>> {
  const names = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];
  const entries = names.map(async (name) => [name, JSON.parse(await readFile(join(tinyPackage, name), 'utf8'))]);
  return Object.fromEntries(await Promise.all(entries));
}
