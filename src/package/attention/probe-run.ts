/**
 * Runs a part of a decoder on inputs of known sizes, to learn by evaluation what exporters spell out with dozens of
 * operators: shapes, masks and positions.
 */

import { Tensor as OrtTensor } from 'onnxruntime-node';
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
  // An output that is cut too, or an input, needs a node of its own.
  for (const name of outputs) part.outputs.set(part.add('Identity', [name]), null);
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

/**
 * Computes values of a graph for each of some probes.
 * @param feeds values of inputs that were cut, by their name in the graph
 * @throws HoneError `MODEL_INVALID` if onnxruntime does not run the graph
 */
export async function evaluate(
  graph: Graph,
  outputs: readonly string[],
  probes: readonly Probe[],
  cuts: ReadonlyMap<string, ValueInfo> = new Map(),
  feeds: (value: string, probe: Probe) => OrtTensor = () => zeros('float32', []),
): Promise<Map<string, Evaluated>[]> {
  const part = partOf(graph, outputs, cuts);
  const session = await createSession(part, { threads: 1, prepack: false });
  try {
    const results: Map<string, Evaluated>[] = [];
    for (const probe of probes) {
      const given: Record<string, OrtTensor> = {};
      for (const [name, info] of part.inputs) given[name] = feedOf(name, info, probe);
      for (const name of cuts.keys()) if (part.inputs.has(cutName(name))) given[cutName(name)] = feeds(name, probe);
      const values = (await session.run(given)) as Record<string, OrtTensor>;
      const inOrder = [...part.outputs.keys()];
      results.push(
        new Map(
          outputs.map((name, i): [string, Evaluated] => {
            const { type, dims, data } = values[inOrder[i] as string] as OrtTensor;
            return [name, { type, dims, values: data as unknown as ArrayLike<number | bigint> }];
          }),
        ),
      );
    }
    return results;
  } catch (cause) {
    if (cause instanceof HoneError) throw cause;
    throw new HoneError('MODEL_INVALID', `onnxruntime does not run a part of the graph: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    await session.release();
  }
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
