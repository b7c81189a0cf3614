/** A node that its gradient rule does not cover is refused, before and in the reverse pass; no gradient ignores it. */

import { describe, expect, test } from 'vitest';
import { appendGradients, checkGradients } from '../../../src/autodiff/index.js';
import { Graph, int64Tensor, microsoft, type Node, probeShapes } from '../../../src/onnx/index.js';

interface Case {
  readonly name: string;
  /** Adds nodes from `x` [2, 4] (and `w` [2, 4]) to a float value; the test differentiates it with respect to `wrt`. */
  readonly build: (graph: Graph) => string;
  readonly wrt?: readonly string[];
  readonly says: RegExp;
}

const cases: readonly Case[] = [
  { name: 'an operator without a rule', build: (g) => g.add('Cosh', ['x']), says: /Cosh .*no gradient rule/ },
  { name: 'rounding', build: (g) => g.add('Round', ['x']), says: /Round .*no gradient rule/ },
  { name: 'a running sum', build: (g) => g.add('CumSum', ['x', g.int64(1)]), says: /CumSum .*no gradient rule/ },
  { name: 'a triangle of floats', build: (g) => g.add('Trilu', ['x']), says: /Trilu .*no gradient rule/ },
  {
    name: 'an attribute that the rule does not know',
    build: (g) => g.add('Identity', ['x'], { attributes: { of_tomorrow: { i: 1 } } }),
    says: /attribute of_tomorrow has no gradient rule/,
  },
  {
    name: 'an exponent that is trained',
    build: (g) => g.add('Pow', [g.add('Exp', ['x']), 'w']),
    wrt: ['x', 'w'],
    says: /Pow .*input 1 has no gradient rule/,
  },
  {
    name: 'a Slice backwards',
    build: (g) => g.add('Slice', ['x', g.int64([4]), g.int64([0]), g.int64([1]), g.int64([-1])]),
    says: /Slice .*steps forward/,
  },
  {
    name: 'a GatherND with batch axes',
    build: (g) => {
      g.initializers.set('rows', int64Tensor([0, 3], [2, 1]));
      return g.add('GatherND', ['x', 'rows'], { attributes: { batch_dims: { i: 1 } } });
    },
    says: /GatherND .*batch_dims/,
  },
  {
    name: 'a product that swaps batch axes',
    build: (g) => {
      const [a, b] = ['x', 'w'].map((name) => g.add('Reshape', [name, g.int64([2, 2, 2])])) as [string, string];
      return g.add('FusedMatMul', [a, b], { domain: microsoft, attributes: { transBatchA: { i: 1 } } });
    },
    says: /FusedMatMul .*transBatchA/,
  },
  {
    name: 'a sum over axes that are computed',
    build: (g) => {
      g.inputs.set('axes', { type: 'int64', dims: [1] });
      return g.add('ReduceSum', ['x', 'axes']);
    },
    says: /ReduceSum .*axes are not constant/,
  },
  {
    name: 'a sum over no axes',
    build: (g) => g.add('ReduceSum', ['x'], { attributes: { noop_with_empty_axes: { i: 1 } } }),
    says: /ReduceSum .*reduces nothing/,
  },
  {
    name: 'a Slice backwards on one of its axes',
    build: (g) => g.add('Slice', ['x', g.int64([0, 3]), g.int64([2, 0]), g.int64([0, 1]), g.int64([1, -1])]),
    says: /Slice .*steps forward/,
  },
  {
    name: 'a norm over two axes',
    build: (g) => {
      g.initializers.set('gamma', { type: 'float32', dims: [2, 4], data: new Uint8Array(4 * 8) });
      return g.add('SimplifiedLayerNormalization', ['x', 'gamma'], { attributes: { axis: { i: 0 } } });
    },
    says: /SimplifiedLayerNormalization .*axis -1/,
  },
  {
    name: 'a loss that the value does not reach',
    build: (g) => g.add('Mul', ['x', g.float(2)]),
    wrt: ['x', 'w'],
    says: /no gradient flows from the loss to w/,
  },
];

function graphOf({ build }: Case): Graph {
  const graph = new Graph();
  for (const name of ['x', 'w']) graph.inputs.set(name, { type: 'float32', dims: [2, 4] });
  graph.add('ReduceSum', [build(graph)], { outputs: ['loss'], attributes: { keepdims: { i: 0 } } });
  graph.outputs.set('loss', null);
  return graph;
}

const refusal = (says: RegExp) =>
  expect.objectContaining({ code: 'OPERATOR_NOT_DIFFERENTIABLE', message: expect.stringMatching(says) });

describe.each(cases)('$name', (test_) => {
  const { wrt = ['x'], says } = test_;

  test('is refused by the check of the graph', () => {
    expect(() => checkGradients(graphOf(test_), 'loss', wrt)).toThrowError(refusal(says));
  });

  test('is refused by the reverse pass', async () => {
    const graph = graphOf(test_);
    graph.prune();
    // This onnxruntime does not run a node with an unknown attribute, so take the shapes of the node without it.
    const plain = graph.clone();
    plain.nodes = plain.nodes.map((node): Node => (node.op === 'Identity' ? { ...node, attributes: {} } : node));
    const shapes = await probeShapes(plain, {});
    expect(() => appendGradients(graph, 'loss', wrt, shapes)).toThrowError(refusal(says));
  });
});

test('a graph whose operators all have rules passes, casts to integers and comparisons included', () => {
  const graph = graphOf({
    name: '',
    says: /./,
    build: (g) => {
      const large = g.add('Greater', ['x', g.float(0)]);
      const count = g.add('Cast', [g.add('Cast', ['w'], { attributes: { to: { i: 7 } } })], {
        attributes: { to: { i: 1 } },
      });
      return g.add('Add', [g.add('Where', [large, 'x', g.float(0)]), count]);
    },
  });
  expect(() => checkGradients(graph, 'loss', ['x'])).not.toThrow();
  expect(() => checkGradients(graph, 'loss', ['x', 'w'])).toThrowError(/no gradient flows from the loss to w/);
});
