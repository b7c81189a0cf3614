/**
 * Runs a part of a decoder on inputs of known sizes, to learn by evaluation what exporters spell out with dozens of
 * operators: shapes, masks and positions.
 */

import { type InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { createSession, elementCount, type Graph, type ValueInfo, zeros } from '../../onnx/index.js';

/** One set of inputs. The mask has `past + tokens` columns a row; all ones unless it is given. */
export interface Probe {
  readonly rows: number;
  readonly tokens: number;
  readonly past: number;
  readonly mask?: readonly (readonly number[])[];
}

/** Results by name: those that cannot differ in kind are read as numbers. */
export interface Evaluated {
  readonly type: string;
  readonly dims: readonly number[];
  readonly values: ArrayLike<number | bigint>;
}

/** Returns the mask of a probe, [rows][past + tokens]. */
export function maskOf({ rows, tokens, past, mask }: Probe): readonly (readonly number[])[] {
  return mask ?? Array.from({ length: rows }, () => new Array<number>(past + tokens).fill(1));
}

/** The position of each token: the number of real tokens before it, as transformers counts them. */
function positionsOf(probe: Probe): bigint[] {
  return maskOf(probe).flatMap((row) => {
    let seen = 0;
    return row.map((one) => BigInt(Math.max(0, one === 0 ? 0 : seen++))).slice(probe.past);
  });
}

/**
 * A copy of a graph that computes some values only.
 * @param cuts values that become inputs, with their type and shape
 */
export function partOf(
  graph: Graph,
  outputs: Iterable<string>,
  cuts: ReadonlyMap<string, ValueInfo> = new Map(),
): Graph {
  const part = graph.clone();
  part.outputs.clear();
  const computed = part.producers();
  for (const name of outputs) {
    // What is no result of a node, or is cut too, needs a node of its own.
    const isResult = computed.has(name) && !cuts.has(name);
    part.outputs.set(isResult ? name : part.add('Identity', [name]), null);
  }
  for (const [name, info] of cuts) {
    part.replaceUses(name, cutName(name));
    part.inputs.set(cutName(name), info);
  }
  part.prune();
  const read = new Set(part.nodes.flatMap(({ inputs }) => inputs));
  for (const name of [...part.inputs.keys()]) if (!read.has(name)) part.inputs.delete(name);
  return part;
}

/** The name of the input that stands for a value that was cut. */
export const cutName = (value: string): string => `cut ${value}`;

/** A part of a graph in onnxruntime, which computes some of its values for probes. */
export class PartRun {
  readonly #part: Graph;
  readonly #session: InferenceSession;
  readonly #outputs: readonly string[];
  readonly #cuts: readonly string[];

  private constructor(part: Graph, session: InferenceSession, outputs: readonly string[], cuts: readonly string[]) {
    this.#part = part;
    this.#session = session;
    this.#outputs = outputs;
    this.#cuts = cuts.filter((name) => part.inputs.has(cutName(name)));
  }

  /**
   * @param cuts values of the graph that become inputs
   * @throws HoneError `MODEL_INVALID` if onnxruntime refuses the part
   */
  static async open(
    graph: Graph,
    outputs: readonly string[],
    cuts: ReadonlyMap<string, ValueInfo> = new Map(),
  ): Promise<PartRun> {
    const part = partOf(graph, outputs, cuts);
    const session = await createSession(part, { threads: 1, prepack: false, optimize: false, quiet: true });
    return new PartRun(part, session, outputs, [...cuts.keys()]);
  }

  /**
   * Returns the values by name.
   * @param feed returns the value of a cut
   * @throws HoneError `MODEL_INVALID` if the part cannot be computed
   */
  async run(probe: Probe, feed?: (cut: string) => OrtTensor): Promise<Map<string, Evaluated>> {
    const given: Record<string, OrtTensor> = {};
    for (const [name, info] of this.#part.inputs) given[name] = feedOf(name, info, probe);
    for (const name of this.#cuts) if (feed !== undefined) given[cutName(name)] = feed(name);
    try {
      const values = (await this.#session.run(given)) as Record<string, OrtTensor>;
      const inOrder = [...this.#part.outputs.keys()];
      return new Map(
        this.#outputs.map((name, i): [string, Evaluated] => {
          const { type, dims, data } = values[inOrder[i] as string] as OrtTensor;
          return [name, { type, dims, values: data as unknown as Evaluated['values'] }];
        }),
      );
    } catch (cause) {
      const message = `onnxruntime does not run a part of the graph: ${(cause as Error).message}`;
      throw new HoneError('MODEL_INVALID', message, { cause });
    }
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Computes values of a graph for each of some probes. @throws HoneError `MODEL_INVALID` */
export async function evaluate(
  graph: Graph,
  outputs: readonly string[],
  probes: readonly Probe[],
): Promise<Map<string, Evaluated>[]> {
  await using part = await PartRun.open(graph, outputs);
  const results: Map<string, Evaluated>[] = [];
  for (const probe of probes) results.push(await part.run(probe));
  return results;
}

const cache = /^past_key_values\.\d+\.(?:key|value)$/;

function feedOf(name: string, { type, dims }: ValueInfo, probe: Probe): OrtTensor {
  const { rows, tokens, past } = probe;
  const int = (values: bigint[], shape: number[]): OrtTensor =>
    type === 'int32'
      ? new OrtTensor('int32', Int32Array.from(values, Number), shape)
      : type === 'bool'
        ? new OrtTensor('bool', Uint8Array.from(values, Number), shape)
        : new OrtTensor('int64', BigInt64Array.from(values), shape);
  if (name === 'attention_mask') return int(maskOf(probe).flat().map(BigInt), [rows, past + tokens]);
  if (name === 'position_ids') return int(positionsOf(probe), [rows, tokens]);
  if (name === 'input_ids') return int(new Array<bigint>(rows * tokens).fill(0n), [rows, tokens]);
  if (cache.test(name)) return randomTensor(name, cacheDims(dims, rows, past));
  // A cut is fed by the caller.
  return zeros(
    type,
    name.startsWith('cut ') ? dims.map(() => 0) : dims.map((dim) => (typeof dim === 'number' ? dim : 1)),
  );
}

/** The shape of a cache with these sizes. */
export function cacheDims(dims: ValueInfo['dims'], rows: number, past: number): number[] {
  return [rows, Number(dims[1]), past, Number(dims[3])];
}

/** Numbers between -1 and 1 that depend on a name only. */
export function randomTensor(seed: string, dims: readonly number[]): OrtTensor {
  let state = [...seed].reduce((sum, char) => (Math.imul(sum, 31) + char.charCodeAt(0)) | 0, 17);
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >> 8) / 2 ** 23;
  };
  return new OrtTensor('float32', Float32Array.from({ length: elementCount(dims) }, next), dims);
}

/** Type and shape of a value of floats that is cut, of any size. */
export const floatCut = (rank: number): ValueInfo => ({
  type: 'float32',
  dims: Array.from({ length: rank }, (_, axis) => `cut${axis}`),
});
