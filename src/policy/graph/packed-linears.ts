/**
 * Joins linear layers that read the same value (q, k and v; gate and up) into one product, and their adapters into one
 * pair.
 *
 * Reading the weights takes most of the time of a decode step, so everything else should be small. One product instead
 * of three means fewer operators and fewer rounds of the thread pool. Two adapter tensors instead of six mean fewer
 * inputs per step, each of which costs more time than a small operator. The joined weights are a Concat of constants,
 * which onnxruntime computes when it loads the graph.
 *
 * The adapters of a group of m layers are A [in, m*r], with the members' columns side by side, and B [m*r, out], which
 * is block-diagonal and multiplied by the scale. In (x A) B each member's columns are then the product of its own
 * adapter.
 */

import { Tensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { type Graph, type Node, numberAttribute } from '../../onnx/index.js';
import { adapterInputA, adapterInputB, type LinearSite } from '../../package/lowering.js';
import type { Adapter, AdapterTarget } from '../../versions/index.js';

/** Adapter tensors by graph input name. */
export type AdapterFeeds = Readonly<Record<string, Tensor>>;

/** Linear layers that are computed as one product, and the graph inputs for their adapters. */
export interface PackedLinear {
  /** In the order of their columns. */
  readonly members: readonly AdapterTarget[];
  readonly inFeatures: number;
  /** Columns of all members. */
  readonly outFeatures: number;
  /** [in, m*r] */
  readonly inputA: string;
  /** [m*r, out] */
  readonly inputB: string;
}

/** A product of the packed graph. */
interface Product {
  readonly packed: PackedLinear;
  readonly node: Node;
  readonly input: string;
}

/**
 * Joins the linear layers of a graph in place.
 * @param adapters whether `+ (x A) B` is added to each product
 * @param flat whether tokens are rows of a matrix [B*S, D], so that one Gemm can multiply and add
 */
export function packLinears(
  graph: Graph,
  linears: readonly LinearSite[],
  { adapters, flat }: { readonly adapters: boolean; readonly flat: boolean },
): PackedLinear[] {
  const groups = new Map<string, LinearSite[]>();
  for (const linear of linears) {
    const key = `${linear.input} ${joinKey(graph, linear)}`;
    groups.set(key, [...(groups.get(key) ?? []), linear]);
  }
  const products = [...groups.values()].map((members) => joinProducts(graph, members));
  if (adapters) for (const product of products) attach(graph, product, flat);
  return products.map(({ packed }) => packed);
}

/** Returns a key that is equal for products that can be joined. */
function joinKey(graph: Graph, { module, node }: LinearSite): string {
  const weights = node.inputs.slice(1);
  const types = weights.map((name) => graph.initializers.get(name)?.type ?? '');
  // A weight that is not a constant of the graph would have to be joined again at each step.
  if (types.includes('')) return module;
  const { N: _, ...attributes } = node.attributes;
  return `${node.op} ${types.join()} ${JSON.stringify(attributes)}`;
}

function joinProducts(graph: Graph, members: readonly LinearSite[]): Product {
  const [first] = members as [LinearSite];
  const outFeatures = members.reduce((sum, linear) => sum + linear.outFeatures, 0);
  const packed: PackedLinear = {
    members: members.map(({ module, inFeatures, outFeatures: out }) => ({ module, inFeatures, outFeatures: out })),
    inFeatures: first.inFeatures,
    outFeatures,
    inputA: members.map(({ module }) => adapterInputA(module)).join('+'),
    inputB: members.map(({ module }) => adapterInputB(module)).join('+'),
  };
  if (members.length === 1) return { packed, node: first.node, input: first.input };
  const axis = first.node.op === 'MatMul' ? 1 : 0;
  const weights = first.node.inputs.slice(1).map((_, i) =>
    graph.add(
      'Concat',
      members.map(({ node }) => node.inputs[i + 1] as string),
      { attributes: { axis: { i: axis } } },
    ),
  );
  const product = graph.freshName('product');
  const node: Node = {
    ...first.node,
    inputs: [first.input, ...weights],
    outputs: [product],
    attributes:
      'N' in first.node.attributes ? { ...first.node.attributes, N: { i: outFeatures } } : first.node.attributes,
  };
  graph.removeNodes(new Set(members.map((member) => member.node)));
  graph.nodes.push(node);
  graph.add('Split', [product, graph.int64(members.map((member) => member.outFeatures))], {
    attributes: { axis: { i: -1 } },
    outputs: members.map(({ output }) => output),
  });
  return { packed, node, input: first.input };
}

/** Replaces y = x W by y = x W + (x A) B. */
function attach(graph: Graph, { packed, node, input }: Product, flat: boolean): void {
  const { inputA, inputB, inFeatures, outFeatures } = packed;
  // The rank is left open, because one graph serves versions of different ranks.
  graph.inputs.set(inputA, { type: 'float32', dims: [inFeatures, `rank of ${inputA}`] });
  graph.inputs.set(inputB, { type: 'float32', dims: [`rank of ${inputA}`, outFeatures] });
  const [output] = node.outputs as [string];
  const base = graph.freshName(`${inputA}.base`);
  graph.replaceNode(node, [{ ...node, outputs: [base] }]);
  const narrow = graph.add('MatMul', [input, inputA]);
  if (flat) graph.add('Gemm', [narrow, inputB, base], { outputs: [output] });
  else graph.add('Add', [base, graph.add('MatMul', [narrow, inputB])], { outputs: [output] });
}

/** Returns the product of a group that is split into exactly these parts, or undefined if there is none. */
export function unsplit(graph: Graph, parts: readonly string[]): string | undefined {
  const split = graph.producers().get(parts[0] as string);
  if (split?.op !== 'Split' || numberAttribute(split, 'axis', 0) !== -1) return undefined;
  return split.outputs.join() === parts.join() ? split.inputs[0] : undefined;
}

/**
 * Copies an adapter's matrices into the form of the packed graph, with the scale multiplied in.
 * @throws HoneError `ADAPTER_MISMATCH` if a layer has no matrices
 */
export function packAdapter(groups: readonly PackedLinear[], adapter: Adapter): AdapterFeeds {
  const feeds: Record<string, Tensor> = {};
  for (const { members, inFeatures, outFeatures, inputA, inputB } of groups) {
    const pairs = members.map(({ module }) => matricesOf(adapter, module));
    const ranks = pairs.map(({ a }) => a.dims[1]);
    const rank = ranks.reduce((sum, r) => sum + r, 0);
    const a = new Float32Array(inFeatures * rank);
    const b = new Float32Array(rank * outFeatures);
    let row = 0;
    let column = 0;
    for (const [i, pair] of pairs.entries()) {
      const r = ranks[i] as number;
      const width = (members[i] as AdapterTarget).outFeatures;
      for (let k = 0; k < inFeatures; k++) a.set(pair.a.data.subarray(k * r, (k + 1) * r), k * rank + row);
      for (let k = 0; k < r; k++) {
        const to = (row + k) * outFeatures + column;
        for (let j = 0; j < width; j++) b[to + j] = adapter.scale * (pair.b.data[k * width + j] as number);
      }
      row += r;
      column += width;
    }
    feeds[inputA] = new Tensor('float32', a, [inFeatures, rank]);
    feeds[inputB] = new Tensor('float32', b, [rank, outFeatures]);
  }
  return feeds;
}

interface Matrix {
  readonly dims: readonly [number, number];
  readonly data: Float32Array;
}

function matricesOf({ tensors }: Adapter, module: string): { readonly a: Matrix; readonly b: Matrix } {
  const a = tensors.get(adapterInputA(module));
  const b = tensors.get(adapterInputB(module));
  if (a === undefined || b === undefined) {
    throw new HoneError('ADAPTER_MISMATCH', `the adapter has no matrices for ${module}`);
  }
  return { a: a as Matrix, b: b as Matrix };
}
