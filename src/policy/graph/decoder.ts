/** Runs the decode graph: chunks of one prompt (`prefill`, `prefillMore`), or one token of many rows (`step`). */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { createSession } from '../../onnx/index.js';
import { readDecoder } from '../../package/normalize.js';
import type { Adapter, AdapterTarget } from '../../versions/index.js';
import type { CacheShape, KvCache, Prefix } from '../kv/kv-cache.js';
import { newKeyValues, pastName } from './cached-attention.js';
import { type DecodeGraph, toDecodeGraph } from './decode-graph.js';
import { type AdapterFeeds, type PackedLinear, packAdapter } from './packed-linears.js';

interface DecoderOptions {
  /** Path of the package's `onnx/model.onnx`. */
  readonly modelPath: string;
  readonly contextLength: number;
  readonly threads: number;
  readonly spin: boolean;
  /**
   * Whether linear layers take adapters. If false, only the base model is served and a step computes less. Default
   * true.
   */
  readonly adapters?: boolean;
}

/** Logits of a step. */
export interface StepLogits {
  /** [rows, vocabularySize], in memory of the binding, which stays valid as long as the array is referenced. */
  readonly data: Float32Array;
  readonly vocabularySize: number;
  /** By row: the probability of the likeliest token. */
  readonly topProbabilities: Float32Array;
}

/** An int64 input that is written as 32-bit words, which is enough for token ids and lengths. */
interface Int64Input {
  readonly tensor: Tensor;
  /** All words; those at even indices are the low ones. */
  readonly low: Int32Array;
}

function int64Input(dims: readonly number[]): Int64Input {
  const values = new BigInt64Array(dims.reduce((product, dim) => product * dim, 1));
  return { tensor: new Tensor('int64', values, dims), low: new Int32Array(values.buffer) };
}

/** Inputs of a decode step, reused by all steps with the same number of rows. */
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
  /** The layers to which adapters are attached. */
  readonly targets: readonly AdapterTarget[];
  readonly #session: InferenceSession;
  readonly #pastNames: readonly string[];
  readonly #groups: readonly PackedLinear[];
  readonly #hasAdapters: boolean;
  readonly #emptyPast: Feeds;
  readonly #stepInputs = new Map<number, StepInputs>();
  /** By views of a cache: the feeds of its steps, which are hundreds of names that do not change between steps. */
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
   * Copies an adapter's tensors into the form that the graph takes. Every step of a version is fed with the result.
   * @throws HoneError `ADAPTER_MISMATCH` if the adapter lacks a layer, or if the decoder was created without adapters
   * and this one is not the zero adapter
   */
  feedsOf(adapter: Adapter): AdapterFeeds {
    if (this.#hasAdapters) return packAdapter(this.#groups, adapter);
    if ([...adapter.tensors].every(([name, { data }]) => name.endsWith('.lora_A') || data.every((b) => b === 0)))
      return {};
    throw new HoneError(
      'ADAPTER_MISMATCH',
      'the policy was opened without adapters, so it can serve only the zero adapter',
    );
  }

  /**
   * Runs one token of every row of a cache. Reads the cache and writes the new keys and values into it.
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
   * Runs the first chunk of a prompt.
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

  /** Runs the next chunk of a prompt. The earlier chunks are the only row of `cache`. */
  async prefillMore(cache: KvCache, tokens: readonly number[], adapter: AdapterFeeds): Promise<StepLogits> {
    // Room for the chunk is reserved after the run, so that the run reads as few columns as possible.
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

  /** Splits the one output of all layers into views, because an output costs more time than a view. */
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
