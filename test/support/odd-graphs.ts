/** Edits that put one unusual thing into the graph of the tiny package. */

import { float32Tensor, type Graph, type Node } from '../../src/onnx/index.js';

export interface OddDecoder {
  readonly name: string;
  readonly apply: (graph: Graph) => void;
  /** Parts of the error message: operator, node, input or attribute, reason, remedy. */
  readonly mentions: readonly string[];
  /** Default `OPERATOR_UNSUPPORTED`. */
  readonly code?: string;
}

export const attention = '/model/layers/0/self_attn/GroupQueryAttention';
export const upProjection = '/model/layers/0/mlp/up_proj/MatMul';

/** Replaces the first node that fits. */
export function change(graph: Graph, fits: (node: Node) => boolean, edit: (node: Node) => Partial<Node>): void {
  const node = graph.nodes.find(fits) as Node;
  graph.replaceNode(node, [{ ...node, ...edit(node) }]);
}

export const byName = (name: string) => (node: Node) => node.name === name;
export const byOp = (op: string) => (node: Node) => node.op === op;

export const attribute =
  (fits: (node: Node) => boolean, name: string, value: Node['attributes'][string]) => (graph: Graph) =>
    change(graph, fits, ({ attributes }) => ({ attributes: { ...attributes, [name]: value } }));

/** Gives an operator one of its optional inputs: a constant of ones. */
export const input = (fits: (node: Node) => boolean, index: number, dims: readonly number[]) => (graph: Graph) => {
  const count = dims.reduce((product, dim) => product * dim, 1);
  graph.initializers.set('odd.input', float32Tensor(new Float32Array(count).fill(1), dims));
  change(graph, fits, ({ inputs }) => {
    const padded = [...inputs, ...new Array<string>(Math.max(0, index - inputs.length)).fill('')];
    return { inputs: padded.toSpliced(index, 1, 'odd.input') };
  });
};

/** Replaces the output of a node by a value that is computed from it. */
export const after =
  (fits: (node: Node) => boolean, add: (graph: Graph, value: string) => string) => (graph: Graph) => {
    const node = graph.nodes.find(fits) as Node;
    const [output] = node.outputs as [string];
    const before = graph.freshName('before');
    graph.replaceNode(node, [{ ...node, outputs: [before, ...node.outputs.slice(1)] }]);
    graph.add('Identity', [add(graph, before)], { outputs: [output] });
  };

/** Puts an operator after the up projection, so that the tokens go through it. */
export const onTheWay = (op: string, options: Parameters<Graph['add']>[2] = {}, ...more: readonly string[]) =>
  after(byName(upProjection), (graph, value) => graph.add(op, [value, ...more], options));
