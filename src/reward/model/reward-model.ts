/**
 * A reward model in ONNX: a sequence classifier with one label, in Hugging Face layout.
 *
 * `onnx/model.onnx` has the interface of an Optimum text-classification export. Inputs, all [B, T] int64, are input_ids,
 * attention_mask and, if the graph has them, position_ids and token_type_ids; the output is logits [B, 1] float32. Texts
 * are padded on the right to the longest of their batch. A text that is longer than the model's context gets no score,
 * because the score of a part would look like the score of the whole.
 */

import { basename, join, resolve } from 'node:path';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { openSession } from '../../onnx/index.js';
import { type EncodedText, invalidPackage, loadTextEncoder, type TextEncoder } from '../../package/index.js';
import type { RewardedCompletion, RewardModel } from '../types.js';
import { type RewardModelConfig, readRewardModelConfig } from './config.js';
import { encodeCompletion } from './texts.js';

export interface RewardModelOptions {
  /** Intra-op threads of onnxruntime. Default 1. */
  readonly threads?: number;
  /** Largest number of tokens of a batch, with padding. A longer text runs alone. Default 2048. */
  readonly batchTokens?: number;
}

const modelFile = 'onnx/model.onnx';
const readableInputs = ['input_ids', 'attention_mask', 'position_ids', 'token_type_ids'] as const;

/**
 * Opens the reward model in a folder. Its runs block the calling thread.
 * @throws HoneError `PACKAGE_INVALID` naming the file and what to do
 */
export async function openRewardModel(directory: string, options: RewardModelOptions = {}): Promise<OnnxRewardModel> {
  const root = resolve(directory);
  const config = await readRewardModelConfig(root);
  const encoder = await loadTextEncoder(root);
  const lengths = [config.contextLength, encoder.maxLength].filter((length) => length !== null);
  if (lengths.length === 0) {
    throw invalidPackage(
      root,
      'config.json',
      'gives no length of the longest text; add max_position_embeddings, in tokens',
    );
  }
  const session = await openModel(root, options.threads ?? 1);
  const model = new OnnxRewardModel(session, encoder, config, {
    name: basename(root),
    maxLength: Math.min(...lengths),
    batchTokens: options.batchTokens ?? 2048,
  });
  try {
    await model.try();
    return model;
  } catch (cause) {
    await model.close();
    const { message } = HoneError.from(cause);
    throw invalidPackage(root, modelFile, `cannot score a sample text: ${message}`, cause);
  }
}

async function openModel(root: string, threads: number): Promise<InferenceSession> {
  let session: InferenceSession;
  try {
    session = await openSession(join(root, modelFile), { threads });
  } catch (cause) {
    const { message } = HoneError.from(cause);
    throw invalidPackage(root, modelFile, `${message}; export the model again, as text-classification`, cause);
  }
  const strange = session.inputNames.find((name) => !(readableInputs as readonly string[]).includes(name));
  const lacks = ['input_ids', 'attention_mask'].find((name) => !session.inputNames.includes(name));
  const problem =
    strange !== undefined
      ? `has an input ${strange}; supported are ${readableInputs.join(', ')}`
      : lacks !== undefined
        ? `has no input ${lacks}`
        : session.outputNames.includes('logits')
          ? undefined
          : 'has no output logits';
  if (problem === undefined) return session;
  await session.release();
  throw invalidPackage(root, modelFile, `${problem}; export the model again, as text-classification`);
}

interface Limits {
  readonly name: string;
  /** Length of the longest text, tokens. */
  readonly maxLength: number;
  readonly batchTokens: number;
}

/** A text and its index in the request. */
interface Placed {
  readonly index: number;
  readonly text: EncodedText;
}

export class OnnxRewardModel implements RewardModel {
  /** `model:` and the name of the folder. */
  readonly rater: string;
  readonly #session: InferenceSession;
  readonly #encoder: TextEncoder;
  readonly #config: RewardModelConfig;
  readonly #limits: Limits;
  #closed = false;

  constructor(session: InferenceSession, encoder: TextEncoder, config: RewardModelConfig, limits: Limits) {
    this.rater = `model:${limits.name}`;
    this.#session = session;
    this.#encoder = encoder;
    this.#config = config;
    this.#limits = limits;
  }

  /**
   * Returns the sigmoid of the logit, from 0 to 1, as the text-classification pipeline of `transformers` does for one
   * label. With `"problem_type": "regression"` in `config.json` it returns the logit itself. `null`: the text is longer
   * than the model's context, or its template refuses the chat.
   */
  async score(items: readonly RewardedCompletion[]): Promise<(number | null)[]> {
    const logits = await this.logits(items);
    if (this.#config.regression) return logits;
    return logits.map((logit) => (logit === null ? null : 1 / (1 + Math.exp(-logit))));
  }

  /** Like {@link score}, but always returns the logit: the reward of the Bradley-Terry model, up to a constant. */
  async logits(items: readonly RewardedCompletion[]): Promise<(number | null)[]> {
    const logits = new Array<number | null>(items.length).fill(null);
    const placed = items.flatMap((item, index): Placed[] => {
      const text = encodeCompletion(this.#encoder, item);
      const readable = text !== null && text.tokens.length > 0 && text.tokens.length <= this.#limits.maxLength;
      return readable ? [{ index, text }] : [];
    });
    // Texts of similar length share a batch, so that little padding is needed.
    placed.sort((a, b) => a.text.tokens.length - b.text.tokens.length);
    for (let from = 0; from < placed.length; ) {
      let to = from + 1;
      const width = (end: number): number => placed[end]?.text.tokens.length ?? 0;
      while (to < placed.length && (to + 1 - from) * width(to) <= this.#limits.batchTokens) to += 1;
      const batch = placed.slice(from, to);
      const values = await this.#run(batch.map(({ text }) => text));
      for (const [i, { index }] of batch.entries()) logits[index] = values[i] as number;
      from = to;
    }
    return logits;
  }

  /** Scores a sample, so that opening finds a model that cannot run. */
  async try(): Promise<void> {
    const sample = (text: string): RewardedCompletion => ({
      promptTokens: [],
      promptJson: '{"prompt":"Hello, World!"}',
      tokens: [],
      text,
    });
    await this.logits([sample('Good.'), sample('Hello to you, too: 12 times.')]);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(texts: readonly EncodedText[]): Promise<number[]> {
    const outputs = await this.#session.run(this.#feeds(texts));
    const { type, dims, data } = outputs.logits as Tensor;
    if (type !== 'float32' || dims.length !== 2 || dims[0] !== texts.length || dims[1] !== 1) {
      throw new HoneError(
        'MODEL_INVALID',
        `logits are ${type} [${dims.join(', ')}] for ${texts.length} texts; they must be float32 [${texts.length}, 1]`,
      );
    }
    return Array.from(data as Float32Array);
  }

  #feeds(texts: readonly EncodedText[]): Record<string, Tensor> {
    const width = texts.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0);
    const filled = (padding: number, value: (text: EncodedText, i: number) => number): Tensor => {
      const data = new BigInt64Array(texts.length * width).fill(BigInt(padding));
      for (const [row, text] of texts.entries()) {
        for (let i = 0; i < text.tokens.length; i++) data[row * width + i] = BigInt(value(text, i));
      }
      return new Tensor('int64', data, [texts.length, width]);
    };
    const all: Record<(typeof readableInputs)[number], () => Tensor> = {
      input_ids: () => filled(this.#config.padTokenId, ({ tokens }, i) => tokens[i] as number),
      attention_mask: () => filled(0, () => 1),
      position_ids: () => filled(0, (_, i) => i),
      token_type_ids: () => filled(0, ({ typeIds }, i) => typeIds[i] as number),
    };
    return Object.fromEntries(
      readableInputs.filter((name) => this.#session.inputNames.includes(name)).map((name) => [name, all[name]()]),
    );
  }
}
