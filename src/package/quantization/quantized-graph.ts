/** Chooses the weights of a decoder to quantise, and edits the graph so that it reads their codes. */

import { HoneError } from '../../errors.js';
import { type Graph, microsoft, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { findLinears, transposedInitializer } from '../lowering.js';
import type { BlockFormat } from './blocks.js';

/** A weight to quantise, and the nodes that read it. */
export interface QuantizationTarget {
  /** The initializer. */
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Axes of the initializer: `[in, out]` as MatMul reads it, or `[out, in]` as in an embedding. */
  readonly layout: 'in-out' | 'out-in';
  /** MatMul nodes. */
  readonly products: readonly Node[];
  /** Gather nodes that look rows up. */
  readonly lookups: readonly Node[];
  /** Whether the weight is the head or the embedding. */
  readonly head: boolean;
}

/** The tensors of one quantised weight. */
export interface QuantizedTensors {
  readonly codes: Tensor;
  readonly scales: Tensor;
}

/**
 * Returns the linear layers of the blocks and, with `head`, the head and the embedding (one weight if they are tied).
 * @throws HoneError `PACKAGE_INVALID` if the decoder is already quantised, has nothing to quantise, or a weight is not
 * float32
 */
export function findTargets(graph: Graph, head: boolean): QuantizationTarget[] {
  const quantized = graph.nodes.find(({ op }) => quantizedOperators.has(op));
  if (quantized !== undefined) {
    throw new HoneError(
      'PACKAGE_INVALID',
      `the decoder is already quantised (${quantized.op} ${quantized.name}); quantise the float32 model that it was ` +
        'made from',
    );
  }
  const targets = new Map<string, QuantizationTarget>();
  for (const site of findLinears(graph))
    merge(targets, { ...site, layout: 'in-out', products: [site.node], lookups: [], head: false });
  if (targets.size === 0) {
    throw new HoneError(
      'PACKAGE_INVALID',
      'the decoder has no linear layers with the name of a module; take an export that names its weights ' +
        '(model.layers.0.mlp.up_proj.weight) or its nodes (/model/layers.0/mlp/up_proj/MatMul) after the modules',
    );
  }
  if (head) for (const target of [headOf(graph), ...lookupsOf(graph)]) if (target) merge(targets, target);
  for (const { weight } of targets.values()) {
    const type = graph.initializers.get(weight)?.type;
    if (type === 'float32') continue;
    throw new HoneError('PACKAGE_INVALID', `${weight} is ${type}; export the model in float32 to quantise it`);
  }
  return [...targets.values()];
}

const quantizedOperators = new Set(['MatMulNBits', 'GatherBlockQuantized', 'DequantizeLinear', 'MatMulInteger']);

function merge(targets: Map<string, QuantizationTarget>, target: QuantizationTarget): void {
  const known = targets.get(target.weight);
  // Two layouts of a weight would need two sets of codes, so readers of the second layout keep the float32 weight.
  if (known !== undefined && known.layout !== target.layout) return;
  targets.set(target.weight, {
    ...target,
    products: [...(known?.products ?? []), ...target.products],
    lookups: [...(known?.lookups ?? []), ...target.lookups],
  });
}

function headOf(graph: Graph): QuantizationTarget | undefined {
  const producers = graph.producers();
  const node = producers.get('logits');
  const name = node?.op === 'MatMul' ? (node.inputs[1] as string) : '';
  const transposed = transposedInitializer(graph, producers.get(name));
  const weight = transposed ?? name;
  const dims = graph.initializers.get(weight)?.dims;
  if (node === undefined || dims?.length !== 2) return undefined;
  const [first, second] = dims as [number, number];
  return transposed === undefined
    ? { weight, inFeatures: first, outFeatures: second, layout: 'in-out', products: [node], lookups: [], head: true }
    : { weight, inFeatures: second, outFeatures: first, layout: 'out-in', products: [node], lookups: [], head: true };
}

function lookupsOf(graph: Graph): QuantizationTarget[] {
  return graph.nodes.flatMap((node) => {
    const [weight = '', indices] = node.inputs;
    const dims = graph.initializers.get(weight)?.dims;
    if (node.op !== 'Gather' || indices !== 'input_ids' || dims?.length !== 2) return [];
    if (numberAttribute(node, 'axis', 0) !== 0) return [];
    const [outFeatures, inFeatures] = dims as [number, number];
    return [{ weight, inFeatures, outFeatures, layout: 'out-in' as const, products: [], lookups: [node], head: true }];
  });
}

/** Makes the nodes that read a weight read its codes. `Graph.prune` then removes the float32 weight if it is unused. */
export function readCodes(
  graph: Graph,
  target: QuantizationTarget,
  tensors: QuantizedTensors,
  { bits, blockSize }: BlockFormat,
): void {
  const { weight, inFeatures, outFeatures, products, lookups } = target;
  const codes = `${weight}_Q${bits}`;
  const scales = `${weight}_scales`;
  graph.initializers.set(scales, tensors.scales);
  const attributes = { bits: { i: bits }, block_size: { i: blockSize } };
  if (products.length > 0) graph.initializers.set(codes, tensors.codes);
  for (const node of products) {
    const [input] = node.inputs as [string];
    graph.replaceNode(node, [
      {
        ...node,
        op: 'MatMulNBits',
        domain: microsoft,
        inputs: [input, codes, scales],
        attributes: { K: { i: inFeatures }, N: { i: outFeatures }, ...attributes },
      },
    ]);
  }
  if (lookups.length === 0) return;
  // A lookup needs the same bytes with another shape, rows of codes.
  const rows = products.length > 0 ? `${codes}_rows` : codes;
  const [, blocks = 0, blockBytes = 0] = tensors.codes.dims;
  graph.initializers.set(rows, { ...tensors.codes, dims: [outFeatures, blocks * blockBytes] });
  for (const node of lookups) {
    const [, indices] = node.inputs as [string, string];
    const padded = blocks * blockSize !== inFeatures;
    const [output] = node.outputs as [string];
    const looked = padded ? graph.freshName('rows') : output;
    const before = graph.nodes.length;
    graph.add('GatherBlockQuantized', [rows, indices, scales], {
      name: node.name,
      domain: microsoft,
      attributes: { gather_axis: { i: 0 }, quantize_axis: { i: 1 }, ...attributes },
      outputs: [looked],
    });
    if (padded) {
      const cut = [[0], [inFeatures], [-1]].map((bound) => graph.int64(bound));
      graph.add('Slice', [looked, ...cut], { outputs: [output] });
    }
    graph.replaceNode(node, graph.nodes.splice(before));
  }
}
