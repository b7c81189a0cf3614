/** Runs the decode graph: one prompt's chunks with {@link Decoder.prefill}, one token of many rows with `step`. */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { createSession } from '../../onnx/index.js';
import { readDecoder } from '../../package/normalize.js';
import type { Adapter, AdapterTarget } from '../../versions/index.js';
import type { CacheShape, KvCache, Prefix } from '../kv/kv-cache.js';
import { newKeyValues, pastName } from './cached-attention.js';
import { type DecodeGraph, toDecodeGraph } from './decode-graph.js';
import { type AdapterFeeds, type PackedLinear, packAdapter } from './packed-linears.js';

export interface DecoderOptions {
  /** Path of the package's `onnx/model.onnx`. */
  readonly modelPath: string;
  readonly contextLength: number;
  readonly threads: number;
  readonly spin: boolean;
  /** Whether linear layers take adapters. Default true; without, only the base is served and a step does less. */
  readonly adapters?: boolean;
}

/** Logits of a step and where each row's begin; they are the binding's own memory, valid as long as they are held. */
export interface StepLogits {
  readonly data: Float32Array;
  readonly vocabularySize: number;
  /** By row: the softmax of the likeliest token. */
  readonly topProbabilities: Float32Array;
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

/** Tensors by graph input name. */
type Feeds = Readonly<Record<string, Tensor>>;

/** @throws HoneError `MODEL_INVALID`, `OPERATOR_UNSUPPORTED` */
export async function createDecoder(options: DecoderOptions): Promise<Decoder> {
  const source = await readDecoder(options.modelPath);
  const decode = toDecodeGraph(source, options.contextLength, options.adapters ?? true);
  const session = await createSession(decode.graph, { threads: options.threads, spin: options.spin });
  return new Decoder(session, decode);
}

export class Decoder {
  readonly shape: CacheShape;
  /** The layers that an adapter is attached to. */
  readonly targets: readonly AdapterTarget[];
  readonly #session: InferenceSession;
  readonly #pastNames: readonly string[];
  readonly #groups: readonly PackedLinear[];
  readonly #hasAdapters: boolean;
  readonly #emptyPast: Feeds;
  readonly #stepInputs = new Map<number, StepInputs>();
  /** What steps over a cache are fed, by its views: hundreds of names that stay the same from step to step. */
  readonly #stepFeeds = new WeakMap<readonly Tensor[], { readonly adapter: AdapterFeeds; readonly feeds: Feeds }>();

  constructor(session: InferenceSession, { graph, layers, kvHeads, headSize, groups }: DecodeGraph) {
    this.#session = session;
    this.shape = { layers, kvHeads, headSize };
    this.targets = groups.flatMap(({ members }) => members);
    this.#groups = groups;
    this.#hasAdapters = groups.some(({ inputA }) => graph.inputs.has(inputA));
    const layerParts = Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
      (['key', 'value'] as const).map((part) => [layer, part] as const),
    );
    this.#pastNames = layerParts.map(([layer, part]) => pastName(layer, part));
    const empty = new Tensor('float32', new Float32Array(0), [1, kvHeads, 0, headSize]);
    this.#emptyPast = Object.fromEntries(this.#pastNames.map((name) => [name, empty]));
  }

  /**
   * An adapter's tensors as the graph takes them, copied; what every step of a version is fed.
   * @throws HoneError `ADAPTER_MISMATCH` where the adapter lacks a layer, or changes anything that a decoder without
   * adapters would leave out
   */
  feedsOf(adapter: Adapter): AdapterFeeds {
    if (this.#hasAdapters) return packAdapter(this.#groups, adapter);
    if ([...adapter.tensors].every(([name, { data }]) => name.endsWith('.lora_A') || data.every((b) => b === 0)))
      return {};
    throw new HoneError('ADAPTER_MISMATCH', 'the policy was opened without adapters: it serves the zero adapter only');
  }

  /**
   * One token for every row of a cache: reads the cache, writes the new keys and values into it.
   * @param tokens one per row
   */
  async step(cache: KvCache, tokens: ArrayLike<number>, adapter: AdapterFeeds): Promise<StepLogits> {
    const inputs = this.#inputsFor(cache.rows);
    const { ids, lengths } = inputs;
    cache.reserveColumns(1);
    for (let row = 0; row < cache.rows; row++) {
      ids.low[2 * row] = tokens[row] as number;
      lengths.low[2 * row] = cache.lengthOf(row);
    }
    const outputs = await this.#run(this.#feedsFor(cache.views(), inputs, adapter));
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
    const outputs = await this.#runChunk(tokens, cache.lengthOf(0), this.#pastFeeds(cache.views()), adapter);
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
    pastFeeds: Feeds,
    adapter: AdapterFeeds,
  ): Promise<Record<string, Tensor>> {
    const ids = int64Input([1, tokens.length]);
    for (const [i, token] of tokens.entries()) ids.low[2 * i] = token;
    const { lengths } = this.#inputsFor(1);
    lengths.low[0] = past;
    const last = int64Input([1, 1]);
    last.low[0] = tokens.length - 1;
    return this.#run(allFeeds({ ids, lengths, last }, pastFeeds, adapter));
  }

  async #run(feeds: Feeds): Promise<Record<string, Tensor>> {
    try {
      return (await this.#session.run(feeds)) as Record<string, Tensor>;
    } catch (cause) {
      throw new HoneError('INTERNAL', `a decode step failed: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    }
  }

  #feedsFor(views: readonly Tensor[], inputs: StepInputs, adapter: AdapterFeeds): Feeds {
    const known = this.#stepFeeds.get(views);
    if (known?.adapter === adapter) return known.feeds;
    const feeds = allFeeds(inputs, this.#pastFeeds(views), adapter);
    this.#stepFeeds.set(views, { adapter, feeds });
    return feeds;
  }

  #pastFeeds(views: readonly Tensor[]): Feeds {
    return Object.fromEntries(this.#pastNames.map((name, i) => [name, views[i] as Tensor]));
  }

  /** Views of the parts that come out as one: the binding takes longer for each output than a view does. */
  #keyValues(outputs: Record<string, Tensor>): Float32Array[] {
    const data = (outputs[newKeyValues] as Tensor).data as Float32Array;
    const size = data.length / this.#pastNames.length;
    return this.#pastNames.map((_, part) => data.subarray(part * size, (part + 1) * size));
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

function allFeeds({ ids, lengths, last }: StepInputs, past: Feeds, adapter: AdapterFeeds): Feeds {
  return { input_ids: ids.tensor, past_lens: lengths.tensor, last_index: last.tensor, ...past, ...adapter };
}

function logitsOf(outputs: Record<string, Tensor>): StepLogits {
  const { data, dims } = outputs.logits as Tensor;
  const { data: topProbabilities } = outputs.top_probability as Tensor;
  return {
    data: data as Float32Array,
    vocabularySize: dims[1] as number,
    topProbabilities: topProbabilities as Float32Array,
  };
}
