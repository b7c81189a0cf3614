/**
 * Fuses a residual sum with the norm after it (SkipSimplifiedLayerNormalization), to read the activations only once.
 */

import { type Graph, microsoft, numberAttribute } from '../../onnx/index.js';

/**
 * Fuses every `s = a + b; norm(s)` of a graph in place. Other readers of `s` still find it. Tokens must be rows of a
 * matrix, because only then both summands have the same shape, which the operator requires.
 */
export function fuseNorms(graph: Graph): void {
  const producers = graph.producers();
  for (const norm of graph.nodes.filter(({ op }) => op === 'SimplifiedLayerNormalization')) {
    const [sum, weight] = norm.inputs as [string, string];
    const add = producers.get(sum);
    if (add?.op !== 'Add' || !graph.nodes.includes(add) || norm.outputs.length > 1) continue;
    if (numberAttribute(norm, 'axis', -1) !== -1) continue;
    // A constant summand is a bias. Its shape differs from that of the activations.
    if (add.inputs.some((input) => graph.initializers.has(input) || producers.get(input)?.op === 'Constant')) continue;
    graph.removeNodes(new Set([add, norm]));
    graph.add('SkipSimplifiedLayerNormalization', [...add.inputs, weight], {
      domain: microsoft,
      attributes: { epsilon: { f: numberAttribute(norm, 'epsilon', 1e-5) } },
      outputs: [norm.outputs[0] as string, '', '', sum],
    });
  }
}
