/**
 * Shapes by execution: runs the graph on two different input sizes with every value as an output. A dimension that is
 * equal in both runs is constant; the others are known at run time only. So no table of shape rules has to follow
 * onnxruntime's operators. Zeros of the same shape replace the weights, so that probing a large model needs little
 * memory.
 */

import { Tensor as OrtTensor } from 'onnxruntime-node';
import { HoneError } from '../errors.js';
import type { Graph } from './graph.js';
import { createSession } from './session.js';
import { type ElementType, elementCount } from './tensor.js';

/** Type and dimensions of a value; `null` is a dimension that differs between the probes. */
export interface ValueShape {
  readonly type: string;
  readonly dims: readonly (number | null)[];
}

/** Sizes of the symbolic dimensions of the graph's inputs in the two probes, by name; the two must differ. */
type ProbeSizes = Readonly<Record<string, readonly [number, number]>>;

const largestInlineProbe = 4096;

/** Type and dimensions of a value in each of the two probes. */
interface ProbedValue {
  readonly type: string;
  readonly dims: readonly [readonly number[], readonly number[]];
}

/**
 * The shapes of every value in the graph.
 * @param feeds values of the inputs that cannot be zeros
 */
export async function probeShapes(
  graph: Graph,
  sizes: ProbeSizes,
  feeds: (probe: 0 | 1) => Record<string, OrtTensor> = () => ({}),
): Promise<Map<string, ValueShape>> {
  const shapes = new Map<string, ValueShape>();
  for (const [name, tensor] of graph.initializers) shapes.set(name, { type: tensor.type, dims: tensor.dims });
  for (const [name, info] of graph.inputs) {
    shapes.set(name, { type: info.type, dims: info.dims.map((dim) => (typeof dim === 'number' ? dim : null)) });
  }
  for (const [name, { type, dims }] of await probeValues(graph, sizes, feeds)) {
    shapes.set(name, { type, dims: dims[0].map((dim, axis) => (dim === dims[1][axis] ? dim : null)) });
  }
  return shapes;
}

/** Type and dimensions of every output of a node in the two probes. Parameters as in {@link probeShapes}. */
export async function probeValues(
  graph: Graph,
  sizes: ProbeSizes,
  feeds: (probe: 0 | 1) => Record<string, OrtTensor> = () => ({}),
): Promise<Map<string, ProbedValue>> {
  const probeGraph = withZeroWeights(graph);
  probeGraph.outputs.clear();
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== '') probeGraph.outputs.set(output, null);
  }
  const session = await createSession(probeGraph, { threads: 1, prepack: false });
  const runs: Record<string, Pick<OrtTensor, 'type' | 'dims'>>[] = [];
  try {
    for (const probe of [0, 1] as const) {
      const outputs = await session.run({ ...zeroFeeds(graph, sizes, probe), ...feeds(probe) });
      runs.push(
        Object.fromEntries(
          Object.entries(outputs as Record<string, OrtTensor>).map(([name, { type, dims }]) => [name, { type, dims }]),
        ),
      );
    }
  } finally {
    await session.release();
  }
  const [first, second] = runs as [(typeof runs)[number], (typeof runs)[number]];
  return new Map(
    Object.entries(first).map(([name, { type, dims }]) => {
      const other = second[name]?.dims ?? [];
      if (dims.length !== other.length)
        throw new HoneError('MODEL_INVALID', `the rank of ${name} depends on the input sizes`);
      return [name, { type, dims: [dims, other] }];
    }),
  );
}

function withZeroWeights(graph: Graph): Graph {
  const probe = graph.clone();
  for (const [name, tensor] of graph.initializers) {
    if (elementCount(tensor.dims) <= largestInlineProbe || tensor.type !== 'float32') continue;
    probe.initializers.delete(name);
    probe.nodes.unshift({
      name: `zeros ${name}`,
      op: 'ConstantOfShape',
      domain: '',
      inputs: [probe.int64(tensor.dims)],
      outputs: [name],
      attributes: {},
    });
  }
  return probe;
}

function zeroFeeds(graph: Graph, sizes: ProbeSizes, probe: 0 | 1): Record<string, OrtTensor> {
  return Object.fromEntries(
    [...graph.inputs].map(([name, info]) => {
      const dims = info.dims.map((dim) => {
        if (typeof dim === 'number') return dim;
        const size = sizes[dim];
        if (!size)
          throw new HoneError('MODEL_INVALID', `input ${name} has the dimension "${dim}", which has no probe size`);
        return size[probe];
      });
      return [name, zeros(info.type, dims)];
    }),
  );
}

/** A tensor of zeros, to feed an input. */
export function zeros(type: ElementType, dims: readonly number[]): OrtTensor {
  const count = elementCount(dims);
  switch (type) {
    case 'float32':
      return new OrtTensor('float32', new Float32Array(count), dims);
    case 'int64':
      return new OrtTensor('int64', new BigInt64Array(count), dims);
    case 'int32':
      return new OrtTensor('int32', new Int32Array(count), dims);
    case 'bool':
      return new OrtTensor('bool', new Uint8Array(count), dims);
    default:
      throw new HoneError('MODEL_INVALID', `a graph input of type ${type} is not supported`);
  }
}
