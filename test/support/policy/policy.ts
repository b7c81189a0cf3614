/** Packages, adapters and an independent forward pass for the tests of the policy. */

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { weightShapes } from '../../../models/recipe/decoder.js';
import { writePackage } from '../../../models/recipe/package.js';
import {
  createSession,
  elementCount,
  float32Tensor,
  float32Values,
  type Graph,
  readModel,
} from '../../../src/onnx/index.js';
import { findLinears, type Package } from '../../../src/package/index.js';
import type {
  CompletionEvent,
  CompletionRequest,
  PolicyVersion,
  SamplingSettings,
  TopLogprob,
} from '../../../src/policy/index.js';
import { Random } from '../../../src/policy/sampling/random.js';
import { type Adapter, digestAdapter, zeroAdapter } from '../../../src/versions/index.js';
import { temporaryFolder } from '../folders.js';
import { tinyDirectory } from '../tiny.js';

export const plainSampling: SamplingSettings = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  maxTokens: 12,
  stop: [],
  ignoreEos: true,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: {},
  topLogprobs: 0,
};

export const adapterScale = 2;

/** Writes a package like the tiny one with a longer context and returns its folder. */
export async function makeLongPackage(contextLength: number): Promise<string> {
  const directory = join(temporaryFolder(), 'long');
  await cp(tinyDirectory, directory, { recursive: true });
  const shape = {
    layers: 2,
    hiddenSize: 32,
    heads: 4,
    kvHeads: 2,
    headSize: 8,
    ffnSize: 48,
    vocabularySize: 260,
    contextLength,
    ropeTheta: 10_000,
    rmsNormEpsilon: 1e-5,
  };
  const random = new Random(5);
  const weights = new Map(
    [...weightShapes(shape)].map(([name, dims]) => {
      const values = Float32Array.from({ length: elementCount(dims) }, () =>
        name.includes('norm') ? 1 : 0.6 * (random.uniform() - 0.5),
      );
      return [name, float32Tensor(values, dims)] as const;
    }),
  );
  await writePackage(directory, { shape, weights, tokenizerFiles: {}, endTokenId: 256 });
  return directory;
}

/** Returns a version with random matrices; seed 0 gives the zero adapter. */
export async function makeVersion(
  pkg: Package,
  number: number,
  seed: number,
  size = 0.4,
  rank = 3,
): Promise<PolicyVersion> {
  const adapter = zeroAdapter(findLinears(await readModel(pkg.modelPath)), rank, adapterScale);
  const random = new Random(seed);
  if (seed !== 0) {
    for (const { data } of adapter.tensors.values()) {
      for (let i = 0; i < data.length; i++) data[i] = size * (random.uniform() - 0.5);
    }
  }
  return { number, adapterDigest: digestAdapter(adapter), adapter };
}

/** The package's own graph with an adapter merged into its weights, run without a cache. */
export class ReferenceModel {
  readonly #session: InferenceSession;
  readonly #pkg: Package;

  private constructor(session: InferenceSession, pkg: Package) {
    this.#session = session;
    this.#pkg = pkg;
  }

  static async open(pkg: Package, adapter?: Adapter): Promise<ReferenceModel> {
    const graph = await readModel(pkg.modelPath);
    if (adapter !== undefined) mergeAdapter(graph, adapter);
    return new ReferenceModel(await createSession(graph, { threads: 1 }), pkg);
  }

  /** Returns the logits after each token, one Float32Array [V] per position. */
  async logits(tokens: readonly number[]): Promise<Float32Array[]> {
    const { layers, kvHeads, headSize, vocabularySize } = this.#pkg.config;
    const ints = (values: readonly number[]): Tensor =>
      new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [1, values.length]);
    const feeds: Record<string, Tensor> = {
      input_ids: ints(tokens),
      attention_mask: ints(tokens.map(() => 1)),
      position_ids: ints(tokens.map((_, i) => i)),
    };
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        feeds[`past_key_values.${layer}.${part}`] = new Tensor('float32', new Float32Array(0), [
          1,
          kvHeads,
          0,
          headSize,
        ]);
      }
    }
    const data = ((await this.#session.run(feeds)).logits as Tensor).data as Float32Array;
    return tokens.map((_, i) => data.slice(i * vocabularySize, (i + 1) * vocabularySize));
  }

  /** Returns ln p of each completion token. */
  async logprobs(prompt: readonly number[], completion: readonly number[]): Promise<number[]> {
    const logits = await this.logits([...prompt, ...completion]);
    return completion.map((token, i) => logSoftmax(logits[prompt.length - 1 + i] as Float32Array)[token] as number);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

function mergeAdapter(graph: Graph, { rank, scale, tensors }: Adapter): void {
  for (const { module, weight, inFeatures, outFeatures } of findLinears(graph)) {
    const a = tensors.get(`${module}.lora_A`)?.data as Float32Array;
    const b = tensors.get(`${module}.lora_B`)?.data as Float32Array;
    const tensor = graph.initializers.get(weight);
    if (tensor === undefined) throw new Error(`no ${weight}`);
    const values = float32Values(tensor);
    for (let i = 0; i < inFeatures; i++) {
      for (let o = 0; o < outFeatures; o++) {
        let delta = 0;
        for (let r = 0; r < rank; r++) delta += (a[i * rank + r] as number) * (b[r * outFeatures + o] as number);
        const at = i * outFeatures + o;
        values[at] = (values[at] as number) + scale * delta;
      }
    }
    graph.initializers.set(weight, float32Tensor(values, tensor.dims));
  }
}

/** Computed in float64, with the formula as it is. */
export function logSoftmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const maximum = Math.max(...values);
  const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value - maximum), 0)) + maximum;
  return values.map((value) => value - total);
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest;
}

/** Whole completions, joined from their events. */
export interface Collected {
  version: number;
  adapterDigest: string;
  cachedPromptTokens: number;
  completions: {
    tokens: number[];
    text: string;
    logprobs: number[];
    sampledLogprobs: number[];
    top: (readonly TopLogprob[])[];
    reason: string;
    endOfSequence: boolean;
  }[];
}

export async function collect(
  events: AsyncIterable<CompletionEvent>,
  onEvent: (event: CompletionEvent) => void = () => undefined,
): Promise<Collected> {
  const result: Collected = { version: -1, adapterDigest: '', cachedPromptTokens: -1, completions: [] };
  for await (const event of events) {
    onEvent(event);
    if (event.type === 'started') {
      result.version = event.version;
      result.adapterDigest = event.adapterDigest;
      result.cachedPromptTokens = event.cachedPromptTokens;
      continue;
    }
    result.completions[event.completion] ??= {
      tokens: [],
      text: '',
      logprobs: [],
      sampledLogprobs: [],
      top: [],
      reason: '',
      endOfSequence: false,
    };
    const completion = result.completions[event.completion] as Collected['completions'][number];
    if (event.type === 'finished') {
      completion.reason = event.reason;
      completion.endOfSequence = event.endOfSequence;
    } else {
      completion.tokens.push(...event.tokens);
      completion.text += event.text;
      completion.logprobs.push(...event.logprobs);
      completion.sampledLogprobs.push(...event.sampledLogprobs);
      completion.top.push(...(event.topLogprobs ?? []));
    }
  }
  return result;
}

export function randomTokens(length: number, seed: number, vocabularySize = 256): number[] {
  const random = new Random(seed);
  return Array.from({ length }, () => Math.floor(random.uniform() * vocabularySize));
}

export function request(
  promptTokens: readonly number[],
  options: {
    readonly n?: number;
    readonly seed?: number;
    readonly sampling?: Partial<SamplingSettings>;
    readonly version?: number;
    readonly background?: boolean;
    /** By completion. */
    readonly forced?: readonly (readonly number[] | undefined)[];
  } = {},
): CompletionRequest {
  const seed = options.seed ?? 1;
  return {
    promptTokens,
    sampling: { ...plainSampling, ...options.sampling },
    completions: Array.from({ length: options.n ?? options.forced?.length ?? 1 }, (_, i) => ({
      id: `${seed}-${i}`,
      seed: seed * 1000 + i,
      ...(options.forced?.[i] === undefined ? {} : { forced: options.forced[i] }),
    })),
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.background === undefined ? {} : { background: options.background }),
  };
}
