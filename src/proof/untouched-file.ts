/** Runs a decoder's file as it is, without a cache, by the names that exporters give its inputs. */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import { decodeFloats, type Graph, isExternal, openSession, type ValueInfo } from '../onnx/index.js';
import type { DecoderConfig } from '../package/index.js';

export class UntouchedFile {
  readonly #session: InferenceSession;
  readonly #graph: Graph;
  readonly #config: DecoderConfig;

  private constructor(session: InferenceSession, graph: Graph, config: DecoderConfig) {
    this.#session = session;
    this.#graph = graph;
    this.#config = config;
  }

  /**
   * @param graph the content of the file
   * @throws HoneError `MODEL_INVALID` if onnxruntime does not open it
   */
  static async open(path: string, graph: Graph, config: DecoderConfig, threads: number): Promise<UntouchedFile> {
    const locations = new Set<string>();
    for (const { data } of graph.initializers.values()) if (isExternal(data)) locations.add(data.location);
    return new UntouchedFile(await openSession(path, { threads }, locations), graph, config);
  }

  /**
   * The logits [vocabularySize] after each of the last `count` tokens.
   * @throws HoneError `MODEL_INVALID` if an input is unknown or onnxruntime does not run the file
   */
  async logits(tokens: readonly number[], count: number): Promise<readonly Float32Array[]> {
    const whole = await this.#run(tokens);
    const length = whole.dims[1] as number;
    if (length >= count) return rowsOf(whole).slice(-count);
    // Some exports compute the logits of the last token only.
    const rows: Float32Array[] = [];
    for (let i = count - 1; i > 0; i--) rows.push(...rowsOf(await this.#run(tokens.slice(0, -i))).slice(-1));
    return [...rows, ...rowsOf(whole).slice(-1)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.release();
  }

  async #run(tokens: readonly number[]): Promise<Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, info] of this.#graph.inputs) {
      if (!this.#graph.initializers.has(name)) feeds[name] = this.#input(name, info, tokens);
    }
    try {
      return (await this.#session.run(feeds, ['logits'])).logits as Tensor;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new HoneError('MODEL_INVALID', `onnxruntime does not run the file as it is: ${why}`, { cause });
    }
  }

  #input(name: string, info: ValueInfo, tokens: readonly number[]): Tensor {
    const integers: Readonly<Record<string, () => readonly number[]>> = {
      input_ids: () => tokens,
      attention_mask: () => tokens.map(() => 1),
      position_ids: () => [...tokens.keys()],
    };
    const values = integers[name]?.();
    if (values !== undefined && info.dims.length === 2) return integerTensor(info, values, [1, tokens.length]);
    if (/^num_logits_to_keep$|^logits_to_keep$/.test(name))
      return integerTensor(info, [tokens.length], info.dims.length === 0 ? [] : [1]);
    if (/^past/.test(name) && info.dims.length === 4) return this.#emptyPast(info);
    throw new HoneError('MODEL_INVALID', `the file has an input ${name} whose meaning Hone does not know`);
  }

  #emptyPast({ type, dims }: ValueInfo): Tensor {
    const { kvHeads, headSize } = this.#config;
    const shape = [1, numberOr(dims[1], kvHeads), 0, numberOr(dims[3], headSize)];
    return type === 'float16'
      ? new Tensor('float16', new Uint16Array(0), shape)
      : new Tensor('float32', new Float32Array(0), shape);
  }
}

const numberOr = (dim: number | string | undefined, other: number): number => (typeof dim === 'number' ? dim : other);

function integerTensor({ type }: ValueInfo, values: readonly number[], dims: readonly number[]): Tensor {
  if (type === 'int32') return new Tensor('int32', Int32Array.from(values), dims);
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

/** The rows of logits [1, S, V], in float32. */
function rowsOf({ type, data, dims }: Tensor): Float32Array[] {
  const [, length = 0, size = 0] = dims;
  const { buffer, byteOffset, byteLength } = data as Uint16Array;
  const values =
    type === 'float16'
      ? decodeFloats('float16', new Uint8Array(buffer, byteOffset, byteLength))
      : (data as Float32Array);
  return Array.from({ length }, (_, i) => values.subarray(i * size, (i + 1) * size));
}
