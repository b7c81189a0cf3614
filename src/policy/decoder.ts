/** Runs the decode graph: one prompt's chunks with {@link Decoder.prefill}, one token of many rows with `step`. */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { createSession } from '../onnx/index.js';
import { readDecoder } from '../package/index.js';
import type { AdapterTarget } from '../versions/types.js';
import { type DecodeGraph, newName, pastName, toDecodeGraph } from './decode-graph.js';
import type { CacheShape, KvCache, Prefix } from './kv-cache.js';

/** Adapter tensors by graph input name. */
export type AdapterFeeds = Readonly<Record<string, Tensor>>;

export interface DecoderOptions {
  /** Path of the package's `onnx/model.onnx`. */
  readonly modelPath: string;
  readonly contextLength: number;
  /** `lora_alpha / r` of every adapter that will be fed. */
  readonly scale: number;
  readonly threads: number;
  readonly spin: boolean;
}

/** Logits of a step and where each row's begin; they are the binding's own memory, valid as long as they are held. */
export interface StepLogits {
  readonly data: Float32Array;
  readonly vocabularySize: number;
}

/** int64 inputs that are written through their low words: token ids and lengths are small and not negative. */
interface Int64Input {
  readonly tensor: Tensor;
  readonly low: Int32Array;
}

function int64Input(dims: readonly number[]): Int64Input {
  const values = new BigInt64Array(dims.reduce((product, dim) => product * dim, 1));
  return { tensor: new Tensor('int64', values, dims), low: new Int32Array(values.buffer) };
}

/** Inputs of a decode step of n rows, kept from step to step. */
interface StepInputs {
  readonly ids: Int64Input;
  readonly lengths: Int64Input;
  readonly last: Int64Input;
}

/** @throws HoneError `MODEL_INVALID`, `OPERATOR_UNSUPPORTED` */
export async function createDecoder(options: DecoderOptions): Promise<Decoder> {
  const source = await readDecoder(options.modelPath);
  const decode = toDecodeGraph(source, options.contextLength, options.scale);
  const session = await createSession(decode.graph, { threads: options.threads, spin: options.spin });
  return new Decoder(session, decode);
}

export class Decoder {
  readonly shape: CacheShape;
  /** The layers that an adapter is attached to. */
  readonly targets: readonly AdapterTarget[];
  readonly #session: InferenceSession;
  readonly #pastNames: readonly string[];
  readonly #newNames: readonly string[];
  readonly #emptyPast: Readonly<Record<string, Tensor>>;
  readonly #stepInputs = new Map<number, StepInputs>();

  constructor(session: InferenceSession, { layers, kvHeads, headSize, targets }: DecodeGraph) {
    this.#session = session;
    this.shape = { layers, kvHeads, headSize };
    this.targets = targets;
    const layerParts = Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
      (['key', 'value'] as const).map((part) => [layer, part] as const),
    );
    this.#pastNames = layerParts.map(([layer, part]) => pastName(layer, part));
    this.#newNames = layerParts.map(([layer, part]) => newName(layer, part));
    const empty = new Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headSize]);
    this.#emptyPast = Object.fromEntries(this.#pastNames.map((name) => [name, empty]));
  }

  /**
   * One token for every row of a cache: reads the cache, writes the new keys and values into it.
   * @param tokens one per row
   */
  async step(cache: KvCache, tokens: ArrayLike<number>, adapter: AdapterFeeds): Promise<StepLogits> {
    const { ids, lengths, last } = this.#inputsFor(cache.rows);
    cache.reserveColumns(1);
    for (let row = 0; row < cache.rows; row++) {
      ids.low[2 * row] = tokens[row] as number;
      lengths.low[2 * row] = cache.lengthOf(row);
    }
    const outputs = await this.#run(ids, lengths, last, this.#pastFeeds(cache), adapter);
    cache.write(this.#keyValues(outputs), 1);
    return logitsOf(outputs);
  }

  /**
   * A prompt's first chunk, from nothing.
   * @returns the chunk's keys and values and the logits after its last token
   */
  async prefill(
    tokens: readonly number[],
    adapter: AdapterFeeds,
  ): Promise<{ readonly prefix: Prefix; readonly logits: StepLogits }> {
    const outputs = await this.#runChunk(tokens, 0, this.#emptyPast, adapter);
    const prefix = { parts: this.#keyValues(outputs), length: tokens.length, stride: tokens.length };
    return { prefix, logits: logitsOf(outputs) };
  }

  /** A further chunk of a prompt whose chunks so far are the one row of `cache`. */
  async prefillMore(cache: KvCache, tokens: readonly number[], adapter: AdapterFeeds): Promise<StepLogits> {
    // The smallest bucket that holds the past is read; the room for the chunk is made afterwards.
    const outputs = await this.#runChunk(tokens, cache.lengthOf(0), this.#pastFeeds(cache), adapter);
    cache.reserveColumns(tokens.length);
    cache.write(this.#keyValues(outputs), tokens.length);
    return logitsOf(outputs);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  #runChunk(
    tokens: readonly number[],
    past: number,
    pastFeeds: Readonly<Record<string, Tensor>>,
    adapter: AdapterFeeds,
  ): Promise<Record<string, Tensor>> {
    const ids = int64Input([1, tokens.length]);
    for (const [i, token] of tokens.entries()) ids.low[2 * i] = token;
    const { lengths, last } = this.#inputsFor(1);
    lengths.low[0] = past;
    const chunkLast = int64Input([1, 1]);
    chunkLast.low[0] = tokens.length - 1;
    return this.#run(ids, lengths, tokens.length === 1 ? last : chunkLast, pastFeeds, adapter);
  }

  async #run(
    ids: Int64Input,
    lengths: Int64Input,
    last: Int64Input,
    past: Readonly<Record<string, Tensor>>,
    adapter: AdapterFeeds,
  ): Promise<Record<string, Tensor>> {
    try {
      const feeds = { input_ids: ids.tensor, past_lens: lengths.tensor, last_index: last.tensor, ...past, ...adapter };
      return (await this.#session.run(feeds)) as Record<string, Tensor>;
    } catch (cause) {
      throw new HoneError('INTERNAL', `a decode step failed: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    }
  }

  #pastFeeds(cache: KvCache): Record<string, Tensor> {
    const views = cache.views();
    const feeds: Record<string, Tensor> = {};
    for (let i = 0; i < this.#pastNames.length; i++) feeds[this.#pastNames[i] as string] = views[i] as Tensor;
    return feeds;
  }

  #keyValues(outputs: Record<string, Tensor>): Float32Array[] {
    return this.#newNames.map((name) => (outputs[name] as Tensor).data as Float32Array);
  }

  #inputsFor(rows: number): StepInputs {
    let inputs = this.#stepInputs.get(rows);
    if (inputs === undefined) {
      inputs = { ids: int64Input([rows, 1]), lengths: int64Input([rows]), last: int64Input([rows, 1]) };
      this.#stepInputs.set(rows, inputs);
    }
    return inputs;
  }
}

function logitsOf(outputs: Record<string, Tensor>): StepLogits {
  const { data, dims } = outputs.logits as Tensor;
  return { data: data as Float32Array, vocabularySize: dims[1] as number };
}
