/**
 * Rewrites a training graph for a provider that lacks some of its operators, because a node that falls back to the cpu
 * costs two copies and a wait per step. The graph for the cpu stays as it is, because FusedMatMul makes it fast.
 *
 * webgpu (onnxruntime 1.30) has no kernel for FusedMatMul, LogSoftmax, Sum and ConstantOfShape. Integer work on
 * positions and shapes stays on the cpu: it is small and waits for nothing.
 */

import { type Graph, type Node, numberAttribute, probeShapes, type ValueShape } from '../../onnx/index.js';
import type { Provider } from './names.js';
import { trainingProbeSizes } from './training-graph.js';

type Shapes = ReadonlyMap<string, ValueShape>;
type Rewrite = (graph: Graph, node: Node, shapes: Shapes) => void;

/**
 * A copy that computes the same with operators that the provider has; `graph` itself if the provider has all of them.
 */
export async function fitToProvider(graph: Graph, provider: Provider): Promise<Graph> {
  if (provider !== 'webgpu') return graph;
  const shapes = await probeShapes(graph, trainingProbeSizes);
  const fitted = graph.clone();
  for (const node of graph.nodes) {
    const rewrite = rewrites[node.op];
    if (rewrite === undefined) continue;
    fitted.removeNodes(new Set([node]));
    rewrite(fitted, node, shapes);
  }
  fitted.prune();
  return fitted;
}

const rewrites: Readonly<Record<string, Rewrite>> = {
  FusedMatMul: rewriteProduct,
  // x - max - ln sum exp(x - max)
  LogSoftmax(graph, node) {
    const [x] = node.inputs as [string];
    const axes = graph.int64([numberAttribute(node, 'axis', -1)]);
    const shifted = graph.add('Sub', [x, graph.add('ReduceMax', [x, axes])]);
    const total = graph.add('Log', [graph.add('ReduceSum', [graph.add('Exp', [shifted]), axes])]);
    graph.add('Sub', [shifted, total], { outputs: node.outputs });
  },
  Sum(graph, node) {
    const last = node.inputs.length - 1;
    const before = node.inputs.slice(0, last).reduce((sum, term) => graph.add('Add', [sum, term]));
    graph.add('Add', [before, node.inputs[last] as string], { outputs: node.outputs });
  },
  ConstantOfShape(graph, node, shapes) {
    // The reverse pass adds float32 zeros. A node with another value or type is kept.
    const zeros = node.attributes.value === undefined && shapes.get(node.outputs[0] as string)?.type === 'float32';
    if (zeros) graph.add('Expand', [graph.float(0), node.inputs[0] as string], { outputs: node.outputs });
    else graph.nodes.push(node);
  },
};

/**
 * Y = alpha * op(A) op(B). If B is a plain matrix: Gemm, which needs no transposed copy of B. If both are batches:
 * Transpose and MatMul, with alpha on A, which is smaller than Y in attention.
 */
function rewriteProduct(graph: Graph, node: Node, shapes: Shapes): void {
  const [a, b] = node.inputs as [string, string];
  const { outputs } = node;
  const transA = numberAttribute(node, 'transA', 0) !== 0;
  const transB = numberAttribute(node, 'transB', 0) !== 0;
  const alpha = numberAttribute(node, 'alpha', 1);
  const dimsA = shapes.get(a)?.dims ?? [];
  const dimsB = shapes.get(b)?.dims ?? [];
  const attributes = { transA: { i: Number(transA) }, transB: { i: Number(transB) }, alpha: { f: alpha } };
  const inner = dimsA.at(-1) ?? null;
  const width = dimsB[transB ? 0 : 1] ?? null;
  if (dimsA.length === 2 && dimsB.length === 2) {
    graph.add('Gemm', [a, b], { attributes, outputs });
  } else if (dimsB.length === 2 && !transA && inner !== null && width !== null) {
    const rows = graph.add('Gemm', [graph.add('Reshape', [a, graph.int64([-1, inner])]), b], { attributes });
    const leading = graph.add('Shape', [a], { attributes: { end: { i: -1 } } });
    const shape = graph.add('Concat', [leading, graph.int64([width])], { attributes: { axis: { i: 0 } } });
    graph.add('Reshape', [rows, shape], { outputs });
  } else {
    const scaled = alpha === 1 ? a : graph.add('Mul', [a, graph.float(alpha)]);
    const left = transA ? transposed(graph, scaled, dimsA.length) : scaled;
    graph.add('MatMul', [left, transB ? transposed(graph, b, dimsB.length) : b], { outputs });
  }
}

/** Swaps the last two axes. */
function transposed(graph: Graph, value: string, rank: number): string {
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  perm.push(...perm.splice(rank - 2).reverse());
  return graph.add('Transpose', [value], { attributes: { perm: { is: perm } } });
}
