/** Decoders that can serve but cannot be trained completely. Each row edits the graph of the tiny package. */

import type { Graph, Node, Tensor } from '../../src/onnx/index.js';
import { type OddDecoder, onTheWay } from './odd-graphs.js';

/** Takes the module names away from the first linear layers. */
const anonymous = (count: number) => (graph: Graph) => {
  let left = count;
  for (const node of [...graph.nodes]) {
    const weight = node.inputs[1] ?? '';
    if (node.op !== 'MatMul' || !weight.includes('.layers.') || left-- <= 0) continue;
    const name = `onnx::MatMul_${700 + left}`;
    graph.initializers.set(name, graph.initializers.get(weight) as Tensor);
    graph.initializers.delete(weight);
    graph.replaceNode(node, [{ ...node, name: `node_linear_${left}`, inputs: [node.inputs[0] as string, name] }]);
  }
};

export const unlearnableDecoders: readonly OddDecoder[] = [
  {
    name: 'no linear layer that has a name',
    apply: anonymous(14),
    mentions: ['14 of the 14 linear layers', 'MatMul node_linear_13 by onnx::MatMul_713', '--learner off'],
    code: 'MODEL_NOT_TRAINABLE',
  },
  {
    name: 'one linear layer without a name',
    apply: anonymous(1),
    mentions: ['1 of the 14 linear layers', 'node_linear_0', '--learner off'],
    code: 'MODEL_NOT_TRAINABLE',
  },
  {
    name: 'two nodes that are named after the same module',
    apply: (graph) => {
      anonymous(2)(graph);
      graph.nodes = graph.nodes.map((node) =>
        node.name.startsWith('node_linear_')
          ? { ...node, name: `/model/layers/0/self_attn/q_proj/MatMul_${node.name.at(-1)}` }
          : node,
      );
    },
    mentions: ['1 of the 14 linear layers', '--learner off'],
    code: 'MODEL_NOT_TRAINABLE',
  },
  {
    name: 'a head whose weight is computed',
    apply: (graph) => {
      const head = graph.nodes.find(({ outputs }) => outputs[0] === 'logits') as Node;
      const weight = graph.add('Identity', [head.inputs[1] as string]);
      graph.replaceNode(head, [{ ...head, inputs: [head.inputs[0] as string, weight] }]);
    },
    mentions: ["the head's weight", '--learner off'],
    code: 'MODEL_NOT_TRAINABLE',
  },
  ...['Softplus', 'Abs'].map(
    (op): OddDecoder => ({
      name: op,
      apply: onTheWay(op, {}),
      mentions: [op, 'no gradient rule', '--learner off'],
      code: 'OPERATOR_NOT_DIFFERENTIABLE',
    }),
  ),
];
