/**
 * Estimates from the graph how much memory a pass over it takes, before it runs.
 *
 * Two tiny probes give the dimensions of every value. Each value's size is a constant times a product of the batch's
 * dimensions (B sequences, T positions, N targets, R rows); the ratio of the two probes identifies the product. A value
 * occupies memory from the node that computes it to its last reader. A walk over the nodes gives the sum at each of
 * them, and the largest sum is the peak.
 *
 * Not modelled: buffers that onnxruntime reuses in place, which makes the estimate a little high, and fragments of its
 * arena, which make it a little low. `npm run bench -- learn` compares the budget with the measured peak.
 */

import { elementCount, type Graph, probeValues } from '../../onnx/index.js';

/** The sizes of a batch that decide how much memory a pass takes. */
export interface PassShape {
  /** B */
  readonly sequences: number;
  /** T, the longest sequence in tokens. */
  readonly length: number;
  /** N, the completion tokens of all rows. */
  readonly targets: number;
  /** R */
  readonly rows: number;
}

/** Peak bytes of all values of a pass, without weights and inputs. */
export type PassMemory = (shape: PassShape) => number;

const probes: readonly [PassShape, PassShape] = [
  { sequences: 2, length: 5, targets: 4, rows: 5 },
  { sequences: 3, length: 7, targets: 11, rows: 6 },
];

/** The products that occur in the sizes of a training graph's values; the probes give a different ratio for each. */
const products: readonly ((shape: PassShape) => number)[] = [
  () => 1,
  ({ sequences, length }) => sequences * length,
  ({ sequences, length }) => sequences * length * length,
  ({ targets }) => targets,
  ({ length }) => length,
  ({ length }) => length * length,
  ({ rows }) => rows,
  ({ rows }) => rows * rows,
  ({ rows, targets }) => rows * targets,
  ({ sequences }) => sequences,
];
/** A size that fits no product is assumed to grow as the fastest of them. */
const fastest = 2;

const bytesPerElement: Readonly<Record<string, number>> = {
  int64: 8,
  float64: 8,
  bool: 1,
  uint8: 1,
  int8: 1,
  float16: 2,
};

/** Operators whose output is their input with another shape. */
const views = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity']);

/** One buffer: bytes per unit of its product, and the nodes between which it lives. */
interface Buffer {
  readonly bytes: number;
  readonly product: number;
  readonly madeBy: number;
  lastRead: number;
}

/**
 * The memory model of a graph whose inputs have the dimensions B, T, N and R.
 * @param everyValueStays whether a value occupies memory until the end of the pass. Default: until it was last read
 * @throws HoneError `MODEL_INVALID` if onnxruntime refuses the graph
 */
export async function createPassMemory(
  graph: Graph,
  { everyValueStays = false }: { readonly everyValueStays?: boolean } = {},
): Promise<PassMemory> {
  const [first, second] = probes;
  const sizes = {
    B: [first.sequences, second.sequences],
    T: [first.length, second.length],
    N: [first.targets, second.targets],
    R: [first.rows, second.rows],
  } as const;
  const values = await probeValues(graph, sizes);
  const buffers: Buffer[] = [];
  const bufferOf = new Map<string, Buffer>();
  for (const [index, node] of graph.nodes.entries()) {
    for (const input of node.inputs) {
      const buffer = bufferOf.get(input);
      if (buffer) buffer.lastRead = index;
    }
    const viewed = views.has(node.op) ? bufferOf.get(node.inputs[0] ?? '') : undefined;
    for (const output of node.outputs) {
      const value = values.get(output);
      if (value === undefined) continue;
      if (viewed) {
        bufferOf.set(output, viewed);
        continue;
      }
      const [small, large] = value.dims.map(elementCount) as [number, number];
      const product = identify(small, large);
      const units = products[product] as (shape: PassShape) => number;
      const bytes = ((bytesPerElement[value.type] ?? 4) * large) / units(second);
      const buffer = { bytes, product, madeBy: index, lastRead: index };
      buffers.push(buffer);
      bufferOf.set(output, buffer);
    }
  }
  for (const output of graph.outputs.keys()) {
    const buffer = bufferOf.get(output);
    if (buffer) buffer.lastRead = graph.nodes.length;
  }
  if (everyValueStays) for (const buffer of buffers) buffer.lastRead = graph.nodes.length;
  return (shape) =>
    peak(
      buffers,
      graph.nodes.length,
      products.map((units) => units(shape)),
    );
}

function identify(small: number, large: number): number {
  const [first, second] = probes;
  const found = products.findIndex((units) => units(second) * small === units(first) * large);
  return found < 0 ? fastest : found;
}

function peak(buffers: readonly Buffer[], nodes: number, units: readonly number[]): number {
  const change = new Float64Array(nodes + 2);
  for (const { bytes, product, madeBy, lastRead } of buffers) {
    const size = bytes * (units[product] as number);
    change[madeBy] = (change[madeBy] as number) + size;
    change[lastRead + 1] = (change[lastRead + 1] as number) - size;
  }
  let live = 0;
  let most = 0;
  for (const delta of change) {
    live += delta;
    most = Math.max(most, live);
  }
  return most;
}
