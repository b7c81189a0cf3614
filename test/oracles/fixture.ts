/** The committed answers of PyTorch and Hugging Face transformers on `test/fixtures/tiny`. */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { CopgBatch } from '../../src/learner/objective.js';
import type { Parameters } from '../../src/learner/types.js';
import {
  type Adapter,
  type AdapterFiles,
  type AdapterMeta,
  type AdapterTensor,
  decodeSafeTensors,
  type SafeTensor,
} from '../../src/versions/index.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

/** The package that the fixture was computed on. */
export const tinyPackage = join(root, 'test/fixtures/tiny');

interface FixtureInputs {
  readonly rank: number;
  readonly scale: number;
  readonly sequences: readonly (readonly number[])[];
  readonly copg: {
    readonly beta: number;
    readonly groups: readonly number[];
    readonly rewards: readonly number[];
    readonly values: readonly number[];
    readonly rows: readonly {
      readonly prompt_tokens: readonly number[];
      readonly completion_tokens: readonly number[];
    }[];
    readonly loss: number;
  };
}

export interface OracleFixture {
  readonly adapter: Adapter;
  /** The adapter in the form that training engines are fed. */
  readonly parameters: Parameters;
  /** Token sequences with the logits [T, V] at each position, without and with the adapter. */
  readonly sequences: readonly {
    readonly tokens: readonly number[];
    readonly logits: Float32Array;
    readonly adaptedLogits: Float32Array;
  }[];
  readonly batch: CopgBatch;
  readonly expected: {
    readonly loss: number;
    readonly logprobs: Float32Array;
    readonly weights: Float32Array;
    readonly gradients: ReadonlyMap<string, Float32Array>;
  };
}

export function readOracleFixture(): OracleFixture {
  const inputs = JSON.parse(readFileSync(join(root, 'test/oracles/tiny.json'), 'utf8')) as FixtureInputs;
  const { tensors } = decodeSafeTensors(readFileSync(join(root, 'test/oracles/tiny.safetensors')));
  const values = (name: string): Float32Array => (tensors.get(name) as SafeTensor).data;
  const under = (prefix: string): [string, SafeTensor][] =>
    [...tensors].flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : []));
  const { rank, scale, copg } = inputs;
  return {
    adapter: { rank, scale, tensors: new Map(under('adapter.') as [string, AdapterTensor][]) },
    parameters: new Map(under('adapter.')),
    sequences: inputs.sequences.map((tokens, i) => ({
      tokens,
      logits: values(`logits.${i}`),
      adaptedLogits: values(`adapted_logits.${i}`),
    })),
    batch: {
      rows: copg.rows.map((row) => ({ promptTokens: row.prompt_tokens, completionTokens: row.completion_tokens })),
      groups: copg.groups,
      rewards: copg.rewards,
      values: copg.values,
      beta: copg.beta,
      referenceLogprobs: values('copg.reference_logprobs'),
    },
    expected: {
      loss: copg.loss,
      logprobs: values('copg.logprobs'),
      weights: values('copg.weights'),
      gradients: new Map(under('gradient.').map(([name, { data }]) => [name, data])),
    },
  };
}

/** Adapters that PEFT made or has loaded, a folder each. */
export const peftFolder = join(root, 'test/oracles/peft');

/** Where the exported adapter says that it comes from. */
export const exportedMeta: AdapterMeta = {
  packageDigest: 'c'.repeat(64),
  baseModel: 'tiny',
  parent: null,
  createdAtMs: 0,
  metrics: {},
};

/** An adapter's files and the logits [T, V] of PEFT with it, one per token sequence of {@link readOracleFixture}. */
export function readPeftFixture(name: 'exported' | 'named' | 'bfloat16'): {
  readonly files: AdapterFiles;
  readonly logits: readonly Float32Array[];
} {
  const folder = join(peftFolder, name);
  const files = Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))]));
  const { tensors } = decodeSafeTensors(readFileSync(join(root, 'test/oracles/peft.safetensors')));
  const logits = [...tensors].flatMap(([key, { data }]) => {
    const [owner, sequence] = key.split('.');
    return owner === name ? [[Number(sequence), data] as const] : [];
  });
  return { files, logits: logits.sort(([a], [b]) => a - b).map(([, data]) => data) };
}

/** Largest absolute difference of two vectors of the same length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    // NaN must not pass for close.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** Euclidean norm of the difference over that of the expected vector. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] ?? Number.NaN) - (expected[i] as number)) ** 2;
    norm += (expected[i] as number) ** 2;
  }
  return Math.sqrt(difference / norm);
}
