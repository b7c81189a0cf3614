import { describe, expect, it } from 'vitest';
import { fuseSwiGlu } from '../../../src/autodiff/index.js';
import { Graph } from '../../../src/onnx/index.js';

/** (g * Sigmoid(g)) * u; the values in between may be outputs. */
function gated(outputs: readonly string[]): Graph {
  const graph = new Graph();
  graph.inputs.set('x', { type: 'float32', dims: ['N'] });
  graph.add('Exp', ['x'], { outputs: ['g'] });
  graph.add('Neg', ['x'], { outputs: ['u'] });
  graph.add('Sigmoid', ['g'], { outputs: ['s'] });
  graph.add('Mul', ['g', 's'], { outputs: ['a'] });
  graph.add('Mul', ['u', 'a'], { outputs: ['y'] });
  for (const output of outputs) graph.outputs.set(output, null);
  return graph;
}

describe('a gated layer', () => {
  const widths = new Map([
    ['g', 4],
    ['u', 4],
  ]);

  it('becomes one SwiGlu of its gate and value', () => {
    const graph = gated(['y']);
    fuseSwiGlu(graph, widths);
    expect(graph.nodes.map(({ op }) => op)).toEqual(['Exp', 'Neg', 'SwiGlu']);
    expect(graph.nodes[2]).toMatchObject({ inputs: ['g', 'u'], outputs: ['y'] });
  });

  it.each(['s', 'a'])('stays as it is if another node reads its part %s', (part) => {
    const graph = gated(['y', part]);
    fuseSwiGlu(graph, widths);
    expect(graph.nodes).toHaveLength(5);
  });

  it('stays as it is if one operand would be broadcast', () => {
    const graph = gated(['y']);
    fuseSwiGlu(graph, new Map([...widths, ['u', 1]]));
    expect(graph.nodes).toHaveLength(5);
  });

  it('stays as it is if its operands are not among the named values', () => {
    const graph = gated(['y']);
    fuseSwiGlu(graph, new Map([['g', 4]]));
    expect(graph.nodes).toHaveLength(5);
  });
});
