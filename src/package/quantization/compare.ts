/**
 * Measures how far two packages of one model differ on given texts. Both decoders run the same tokens, and every
 * prediction is compared. Quantised weights are computed as in serving.
 */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { createSession, readModel } from '../../onnx/index.js';
import type { DecoderConfig, Package } from '../types.js';
import { useIntegerProducts } from './products.js';

/** Tokens to run. The predictions of those from `firstTarget` on are compared. */
export interface ComparedText {
  readonly tokens: readonly number[];
  /** Index of the first token whose prediction counts; at least 1. */
  readonly firstTarget: number;
}

export interface Comparison {
  /** Predictions compared. */
  readonly tokens: number;
  /** Cosine similarity of the logits, over predictions. */
  readonly cosine: { readonly mean: number; readonly worst: number };
  /** Mean negative log-likelihood per token, nats. */
  readonly loss: { readonly before: number; readonly after: number };
  /** KL(before || after), mean over predictions, nats. */
  readonly divergence: number;
  /** Share of predictions with the same most likely token. */
  readonly agreement: number;
}

interface CompareOptions {
  readonly threads: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (doneTexts: number, texts: number) => void;
}

/** Most logits that are computed at a time. */
const chunkValues = 4 << 20;
/** Most tokens that are run at a time. */
const longestChunk = 128;

/**
 * Runs all texts through both packages. A text that is longer than the context is run in windows of that length.
 * @throws HoneError `MODEL_INVALID` if onnxruntime refuses a decoder
 */
export async function comparePackages(
  before: Package,
  after: Package,
  texts: readonly ComparedText[],
  options: CompareOptions,
): Promise<Comparison> {
  await using first = await PackageRunner.open(before, options.threads);
  await using second = await PackageRunner.open(after, options.threads);
  const { vocabularySize, contextLength } = before.config;
  const chunk = Math.max(1, Math.min(longestChunk, Math.floor(chunkValues / vocabularySize)));
  const totals = new Totals();
  for (const [index, text] of texts.entries()) {
    for (const { tokens, firstTarget } of windows(text, contextLength)) {
      first.reset();
      second.reset();
      for (let start = 0; start + 1 < tokens.length; start += chunk) {
        options.signal?.throwIfAborted();
        const inputs = tokens.slice(start, Math.min(start + chunk, tokens.length - 1));
        const logits = [await first.run(inputs), await second.run(inputs)] as const;
        for (let i = 0; i < inputs.length; i++) {
          if (start + i + 1 < firstTarget) continue;
          const [a, b] = logits.map((all) => all.subarray(i * vocabularySize, (i + 1) * vocabularySize));
          totals.add(a as Float32Array, b as Float32Array, tokens[start + i + 1] as number);
        }
      }
    }
    options.onProgress?.(index + 1, texts.length);
  }
  return totals.comparison();
}

/** Cuts a text into windows that fit the context. Each prediction belongs to exactly one window. */
export function* windows({ tokens, firstTarget }: ComparedText, contextLength: number): Generator<ComparedText> {
  // The last token of a window is only predicted. It is also the first token of the next window.
  for (let start = 0; start + 1 < tokens.length; start += contextLength) {
    const piece = tokens.slice(start, start + contextLength + 1);
    if (start + piece.length > firstTarget) yield { tokens: piece, firstTarget: Math.max(1, firstTarget - start) };
  }
}

/** Sums over predictions, in float64. */
class Totals {
  #count = 0;
  #cosine = 0;
  #worst = 1;
  #before = 0;
  #after = 0;
  #divergence = 0;
  #agreed = 0;

  add(a: Float32Array, b: Float32Array, target: number): void {
    const [normA, normB] = [logNormalizer(a), logNormalizer(b)];
    let dot = 0;
    let squaresA = 0;
    let squaresB = 0;
    let divergence = 0;
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      dot += x * y;
      squaresA += x * x;
      squaresB += y * y;
      divergence += Math.exp(x - normA.log) * (x - normA.log - (y - normB.log));
    }
    const cosine = dot / Math.sqrt(squaresA * squaresB);
    this.#count += 1;
    this.#cosine += cosine;
    this.#worst = Math.min(this.#worst, cosine);
    this.#before += normA.log - (a[target] as number);
    this.#after += normB.log - (b[target] as number);
    this.#divergence += divergence;
    if (normA.top === normB.top) this.#agreed += 1;
  }

  comparison(): Comparison {
    const mean = (sum: number): number => sum / this.#count;
    return {
      tokens: this.#count,
      cosine: { mean: mean(this.#cosine), worst: this.#worst },
      loss: { before: mean(this.#before), after: mean(this.#after) },
      divergence: mean(this.#divergence),
      agreement: mean(this.#agreed),
    };
  }
}

/** Returns ln sum exp of the logits, and the index of the largest. */
function logNormalizer(logits: Float32Array): { log: number; top: number } {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[top] as number)) top = i;
  const largest = logits[top] as number;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return { log: largest + Math.log(sum), top };
}

/** Runs a package's decoder with its cache. It takes tokens in chunks and returns the logits of every position. */
class PackageRunner implements AsyncDisposable {
  readonly #session: InferenceSession;
  readonly #config: DecoderConfig;
  #past: Record<string, Tensor> = {};
  #length = 0;

  private constructor(session: InferenceSession, config: DecoderConfig) {
    this.#session = session;
    this.#config = config;
    this.reset();
  }

  static async open({ modelPath, config }: Package, threads: number): Promise<PackageRunner> {
    const graph = await readModel(modelPath);
    useIntegerProducts(graph);
    graph.prune();
    return new PackageRunner(await createSession(graph, { threads }), config);
  }

  /** Empties the cache. */
  reset(): void {
    const { layers, kvHeads, headSize } = this.#config;
    this.#length = 0;
    this.#past = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        const empty = new Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headSize]);
        this.#past[`past_key_values.${layer}.${part}`] = empty;
      }
    }
  }

  /** Runs tokens that follow those of earlier calls and returns the logits [S, V] after each of them. */
  async run(tokens: readonly number[]): Promise<Float32Array> {
    const int64 = (values: readonly number[]): Tensor =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const start = this.#length;
    this.#length += tokens.length;
    const outputs = (await this.#session.run({
      input_ids: int64(tokens),
      attention_mask: int64(new Array<number>(this.#length).fill(1)),
      position_ids: int64(tokens.map((_, i) => start + i)),
      ...this.#past,
    })) as Record<string, Tensor>;
    for (const name of Object.keys(this.#past)) {
      this.#past[name] = outputs[name.replace('past_key_values', 'present')] as Tensor;
    }
    return (outputs.logits as Tensor).data as Float32Array;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }
}
