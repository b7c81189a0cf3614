/** The models on which benches run, with the sizes that decide their speed. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { elementCount, readModel } from '../../src/onnx/index.js';
import { say } from './progress.js';
import { defaultPackage, tinyPackage } from './project.js';
import { openRandomPackage, shape05B, shape135M } from './random-package.js';

/** The models on which a bench runs if none is named. */
export const usualModelNames = ['tldr', '135M'] as const;
/** The models that can be named. 0.5B takes 2 GB of disk and minutes. */
export const modelNames = [...usualModelNames, '0.5B'] as const;
export type ModelName = (typeof modelNames)[number] | 'tiny';

export interface BenchModel {
  readonly name: ModelName;
  readonly directory: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** Shape [in, out] of each linear layer of the blocks, by module path. */
  readonly linears: ReadonlyMap<string, readonly [number, number]>;
  /** Bytes of weights that one decode step reads: all linear layers, the norms and the head, once each. */
  readonly weightBytes: number;
}

/** Opens a model. Builds a random one first; prints a message and returns undefined if the default policy is not built. */
export async function openBenchModel(name: ModelName): Promise<BenchModel | undefined> {
  const directory = await modelDirectory(name);
  if (directory === undefined) return undefined;
  const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as Record<string, number>;
  const graph = await readModel(join(directory, 'onnx/model.onnx'));
  const linears = new Map<string, readonly [number, number]>();
  let weightBytes = 0;
  for (const [weight, { dims }] of graph.initializers) {
    if (!weight.endsWith('.weight')) continue;
    weightBytes += 4 * elementCount(dims);
    if (weight.includes('.layers.') && dims.length === 2) {
      linears.set(weight.slice(0, -'.weight'.length), [dims[0] as number, dims[1] as number]);
    }
  }
  const heads = config.num_attention_heads as number;
  return {
    name,
    directory,
    layers: config.num_hidden_layers as number,
    hiddenSize: config.hidden_size as number,
    heads,
    headSize: config.head_dim ?? (config.hidden_size as number) / heads,
    vocabularySize: config.vocab_size as number,
    linears,
    weightBytes,
  };
}

async function modelDirectory(name: ModelName): Promise<string | undefined> {
  if (name === 'tiny') return tinyPackage;
  if (name === '135M') return openRandomPackage(name, shape135M);
  if (name === '0.5B') return openRandomPackage(name, shape05B);
  if (existsSync(join(defaultPackage, 'onnx/model.onnx'))) return defaultPackage;
  say('leaving models/tldr out, because it is not built yet; npm run model:build builds it');
  return undefined;
}
