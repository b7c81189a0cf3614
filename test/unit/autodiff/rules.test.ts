import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { addDetach, appendGradients, expandComposites } from '../../../src/autodiff/index.js';
import { gradientRules } from '../../../src/autodiff/rules/index.js';
import {
  type Attributes,
  createSession,
  elementCount,
  float32Tensor,
  Graph,
  int64Tensor,
  microsoft,
  probeShapes,
} from '../../../src/onnx/index.js';

/** One operator under test: float inputs (all differentiated), constants, and how the node is added. */
interface Case {
  readonly title?: string;
  readonly op: string;
  readonly domain?: string;
  /** `N` in a shape is a dimension known only at run time. */
  readonly inputs: readonly (readonly (number | 'N')[])[];
  /** Constants after the inputs. */
  readonly constants?: readonly {
    readonly values: readonly number[];
    readonly dims?: readonly number[];
    readonly float?: boolean;
  }[];
  readonly attributes?: Attributes;
  /** The operator set of ai.onnx; that of a new graph by default. */
  readonly opset?: number;
  /** Number of outputs; 1 by default. */
  readonly outputs?: number;
  /** The outputs that the loss reads; all by default. */
  readonly read?: readonly number[];
  /** Inputs lie in this interval; (-1, 1) by default. */
  readonly range?: readonly [number, number];
  /** Inputs keep this distance from 0, at which the operator has a kink. */
  readonly awayFromZero?: number;
  /** Shape of the first operand, a condition that holds for about half of its elements and is not differentiated. */
  readonly condition?: readonly (number | 'N')[];
}

const axis = (i: number): Attributes => ({ axis: { i } });
const runtimeSize = 3;

const cases: readonly Case[] = [
  { op: 'Sin', inputs: [['N', 4]], range: [-4, 4] },
  { op: 'Cos', inputs: [['N', 4]], range: [-4, 4] },
  {
    op: 'Min',
    title: 'Min with a constant bound',
    inputs: [['N', 4]],
    constants: [{ values: [0], dims: [], float: true }],
    awayFromZero: 0.1,
  },
  {
    op: 'Max',
    title: 'Max over broadcast axes',
    inputs: [['N', 4], [4]],
  },
  {
    op: 'SwiGlu',
    domain: 'hone',
    inputs: [
      ['N', 4],
      ['N', 4],
    ],
  },
  {
    op: 'Add',
    inputs: [
      ['N', 4],
      ['N', 4],
    ],
  },
  {
    op: 'Add',
    title: 'Add over broadcast axes',
    inputs: [
      [2, 'N', 4],
      [1, 4],
    ],
  },
  { op: 'Sub', inputs: [[4], ['N', 4]] },
  {
    op: 'Mul',
    inputs: [
      ['N', 4],
      ['N', 1],
    ],
  },
  { op: 'Mul', title: 'Mul by a scalar', inputs: [['N', 4], []] },
  { op: 'Div', inputs: [['N', 4], [4]], range: [0.5, 2] },
  { op: 'Pow', inputs: [['N', 4]], constants: [{ values: [3], dims: [], float: true }], range: [0.5, 2] },
  { op: 'Neg', inputs: [['N', 4]] },
  { op: 'Exp', inputs: [['N', 4]] },
  { op: 'Log', inputs: [['N', 4]], range: [0.5, 2] },
  { op: 'Sqrt', inputs: [['N', 4]], range: [0.5, 2] },
  { op: 'Reciprocal', inputs: [['N', 4]], range: [0.5, 2] },
  { op: 'Sigmoid', inputs: [['N', 4]] },
  { op: 'Tanh', inputs: [['N', 4]] },
  { op: 'Erf', inputs: [['N', 4]] },
  { op: 'Relu', inputs: [['N', 4]], awayFromZero: 0.1 },
  { op: 'Where', inputs: [['N', 4], [4]], condition: [4] },
  { op: 'Where', title: 'Where by a condition of run-time size', inputs: [['N', 4], [4]], condition: ['N', 4] },
  {
    op: 'Where',
    title: 'Where between values that the condition alone repeats',
    inputs: [[4], [1, 4]],
    condition: ['N', 4],
  },
  { op: 'Identity', inputs: [['N', 4]] },
  { op: 'Cast', inputs: [['N', 4]], attributes: { to: { i: 1 } } },
  {
    op: 'MatMul',
    inputs: [
      ['N', 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of a batch by a matrix',
    inputs: [
      [2, 'N', 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of two batches',
    inputs: [
      [2, 'N', 4],
      [2, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of a matrix by a batch',
    inputs: [
      [3, 4],
      [2, 4, 'N'],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of batches of which one is broadcast',
    inputs: [
      [2, 3, 'N', 4],
      [2, 1, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of a broadcast batch by a batch',
    inputs: [
      [2, 1, 'N', 4],
      [2, 3, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of a batch by a batch with fewer axes',
    inputs: [
      [2, 3, 'N', 4],
      [3, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul of batches that are both broadcast',
    inputs: [
      [2, 1, 'N', 4],
      [1, 3, 4, 5],
    ],
  },
  ...[0, 1, 2, 3].map(
    (bits): Case => ({
      op: 'FusedMatMul',
      title: `FusedMatMul transA=${bits & 1} transB=${bits >> 1}`,
      domain: microsoft,
      inputs: [bits & 1 ? [2, 4, 'N'] : [2, 'N', 4], bits >> 1 ? [2, 5, 4] : [2, 4, 5]],
      attributes: { transA: { i: bits & 1 }, transB: { i: bits >> 1 }, alpha: { f: 0.7 } },
    }),
  ),
  {
    op: 'FusedMatMul',
    title: 'FusedMatMul of a batch by a transposed matrix',
    domain: microsoft,
    inputs: [
      [2, 'N', 4],
      [5, 4],
    ],
    attributes: { transB: { i: 1 }, alpha: { f: 2 } },
  },
  { op: 'Gemm', inputs: [['N', 4], [4, 5], [5]], attributes: { alpha: { f: 0.5 }, beta: { f: 2 } } },
  {
    op: 'Gemm',
    title: 'Gemm with both operands transposed',
    inputs: [
      [4, 'N'],
      [5, 4],
    ],
    attributes: { transA: { i: 1 }, transB: { i: 1 } },
  },
  { op: 'Reshape', inputs: [['N', 4]], constants: [{ values: [2, -1] }] },
  { op: 'Squeeze', inputs: [['N', 1, 4]], constants: [{ values: [1] }] },
  { op: 'Unsqueeze', inputs: [['N', 4]], constants: [{ values: [1] }] },
  { op: 'Flatten', inputs: [['N', 2, 4]] },
  { op: 'Transpose', inputs: [[2, 'N', 4]], attributes: { perm: { is: [1, 2, 0] } } },
  { op: 'Transpose', title: 'Transpose that reverses the axes', inputs: [[2, 'N', 4]] },
  { op: 'Slice', title: 'Slice that names no axes', inputs: [[5, 4]], constants: [{ values: [1] }, { values: [4] }] },
  { op: 'Tile', inputs: [['N', 4]], constants: [{ values: [2, 3] }] },
  { op: 'Expand', inputs: [[1, 4]], constants: [{ values: [3, 4] }] },
  {
    op: 'Concat',
    inputs: [
      ['N', 2],
      ['N', 3],
    ],
    attributes: axis(-1),
  },
  {
    op: 'Concat',
    title: 'Concat of pieces whose sizes are known at run time',
    inputs: [
      ['N', 2],
      ['N', 2],
    ],
    attributes: axis(0),
  },
  { op: 'Split', inputs: [['N', 5]], constants: [{ values: [2, 3] }], attributes: axis(1), outputs: 2 },
  ...[0, 1].map(
    (output): Case => ({
      op: 'Split',
      title: `Split of which only output ${output} is read`,
      inputs: [['N', 5]],
      constants: [{ values: [2, 3] }],
      attributes: axis(1),
      outputs: 2,
      read: [output],
    }),
  ),
  { op: 'Slice', inputs: [['N', 5]], constants: [{ values: [1] }, { values: [4] }, { values: [1] }] },
  {
    op: 'Slice',
    title: 'Slice of every second element',
    inputs: [['N', 6]],
    constants: [{ values: [1] }, { values: [6] }, { values: [-1] }, { values: [2] }],
  },
  {
    op: 'Slice',
    title: 'Slice in steps along two axes',
    inputs: [[5, 'N', 7]],
    constants: [{ values: [0, 1] }, { values: [5, 6] }, { values: [0, 2] }, { values: [2, 3] }],
  },
  {
    op: 'Slice',
    title: 'Slice from the end',
    inputs: [['N', 5]],
    constants: [{ values: [-2] }, { values: [5] }, { values: [-1] }],
  },
  { op: 'ReduceSum', inputs: [['N', 4]], constants: [{ values: [0] }], attributes: { keepdims: { i: 0 } } },
  { op: 'ReduceSum', title: 'ReduceSum of all axes', inputs: [['N', 4]], attributes: { keepdims: { i: 0 } } },
  { op: 'ReduceMean', inputs: [['N', 4]], constants: [{ values: [-1] }] },
  { op: 'ReduceMean', title: 'ReduceMean of all axes', inputs: [['N', 2]], attributes: { keepdims: { i: 0 } } },
  {
    op: 'ReduceSum',
    title: 'ReduceSum of the last axis, which it drops',
    inputs: [['N', 2, 4]],
    constants: [{ values: [-1, 0] }],
    attributes: { keepdims: { i: 0 } },
  },
  {
    op: 'ReduceMean',
    title: 'ReduceMean over a size known at run time',
    inputs: [['N', 4]],
    constants: [{ values: [0] }],
    attributes: { keepdims: { i: 0 } },
  },
  { op: 'Softmax', inputs: [['N', 4]], attributes: axis(-1) },
  { op: 'Softmax', title: 'Softmax over an inner axis', inputs: [[2, 'N', 4]], attributes: axis(1) },
  { op: 'LogSoftmax', inputs: [['N', 4]], attributes: axis(-1) },
  { op: 'LogSoftmax', title: 'LogSoftmax over an inner axis', inputs: [[2, 'N', 4]], attributes: axis(1) },
  { op: 'Gather', inputs: [[5, 2]], constants: [{ values: [0, 3, 3, 1], dims: [2, 2] }] },
  {
    op: 'Gather',
    title: 'Gather along an inner axis',
    inputs: [['N', 4, 3]],
    constants: [{ values: [2, 0, 2, 1], dims: [2, 2] }],
    attributes: { axis: { i: 1 } },
  },
  {
    op: 'Gather',
    title: 'Gather of one entry of an axis',
    inputs: [[2, 3, 4]],
    constants: [{ values: [-1], dims: [] }],
    attributes: { axis: { i: -2 } },
  },
  {
    op: 'GatherElements',
    inputs: [['N', 4]],
    constants: [{ values: [0, 1, 3, 3, 2, 0], dims: [3, 2] }],
    attributes: axis(1),
  },
  { op: 'GatherND', inputs: [['N', 4]], constants: [{ values: [0, 1, 2, 3, 0, 1], dims: [3, 2] }] },
  {
    op: 'SimplifiedLayerNormalization',
    inputs: [[2, 'N', 4], [4]],
    attributes: { axis: { i: -1 }, epsilon: { f: 1e-3 } },
  },
  {
    op: 'LayerNormalization',
    inputs: [[2, 'N', 4], [4], [4]],
    attributes: { axis: { i: -1 }, epsilon: { f: 1e-3 } },
  },
  {
    op: 'LayerNormalization',
    title: 'LayerNormalization without a bias',
    inputs: [['N', 4], [4]],
    attributes: { axis: { i: -1 } },
  },
  ...['none', 'tanh'].map(
    (approximate): Case => ({
      op: 'Gelu',
      title: `Gelu approximate=${approximate}`,
      inputs: [['N', 4]],
      attributes: { approximate: { s: approximate } },
      range: [-3, 3],
    }),
  ),
  { op: 'Gelu', title: 'Gelu of onnxruntime', domain: microsoft, inputs: [['N', 4]], range: [-3, 3] },
  { op: 'FastGelu', domain: microsoft, inputs: [['N', 4]], range: [-3, 3] },
  {
    op: 'FastGelu',
    title: 'FastGelu with a bias',
    domain: microsoft,
    inputs: [['N', 4]],
    constants: [{ values: [0.5, -1, 0, 2], float: true }],
    range: [-3, 3],
  },
  { op: 'QuickGelu', domain: microsoft, inputs: [['N', 4]], range: [-3, 3] },
  {
    op: 'QuickGelu',
    title: 'QuickGelu with a factor',
    domain: microsoft,
    inputs: [['N', 4]],
    attributes: { alpha: { f: 0.9 } },
    range: [-3, 3],
  },
  ...[0, 1].map(
    (interleaved): Case => ({
      op: 'RotaryEmbedding',
      title: `RotaryEmbedding interleaved=${interleaved}`,
      domain: microsoft,
      inputs: [[1, 'N', 8]],
      constants: [
        { values: [0, 2, 1], dims: [1, 3] },
        { values: [1, 1, 0.5, 0.8, -0.4, 0.3], dims: [3, 2], float: true },
        { values: [0, 0, 0.87, 0.6, 0.92, 0.95], dims: [3, 2], float: true },
      ],
      attributes: { interleaved: { i: interleaved } },
    }),
  ),
  ...[0, 1].map(
    (interleaved): Case => ({
      op: 'RotaryEmbedding',
      title: `RotaryEmbedding of ai.onnx with computed tables, interleaved=${interleaved}`,
      inputs: [[1, 2, 'N', 6]],
      constants: [
        { values: [1, 1, 0.5, 0.8, -0.4, 0.3], dims: [1, 3, 2], float: true },
        { values: [0, 0, 0.87, 0.6, 0.92, 0.95], dims: [1, 3, 2], float: true },
      ],
      attributes: { interleaved: { i: interleaved }, rotary_embedding_dim: { i: 4 } },
      opset: 23,
    }),
  ),
  {
    op: 'TokenLogProbability',
    domain: 'hone',
    inputs: [['N', 4]],
    constants: [{ values: [3, 0, 2] }],
    outputs: 2,
    read: [0],
  },
];

const withoutGradientTest = new Set(
  Object.entries(gradientRules)
    .filter(([, rule]) => rule.kind === 'no-gradient')
    .map(([name]) => name),
);

/** A generator of numbers in an interval, the same in each run. */
function createNumbers(seed: number): (low: number, high: number) => number {
  let state = seed;
  return (low, high) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + ((high - low) * state) / 2 ** 32;
  };
}

/** Step of the differences. Their error is of the fourth order, so the step can be large and rounding small. */
const step = 1 / 64;
/** Largest error of an element, relative to the largest element of the gradient; the differences are in float32. */
const tolerance = 2e-4;

/** loss = sum over the outputs that are read of weights * output; its gradient by the rule and by differences. */
async function gradientsOf(test: Case): Promise<{ analytic: Float32Array; numeric: Float32Array }[]> {
  const next = createNumbers(11);
  const graph = new Graph();
  if (test.opset !== undefined) graph.opsets.set('', test.opset);
  const names = test.inputs.map((dims, i) => {
    graph.inputs.set(`x${i}`, { type: 'float32', dims });
    return `x${i}`;
  });
  const constants = (test.constants ?? []).map(({ values, dims = [values.length], float }, i) => {
    const tensor = float ? float32Tensor(Float32Array.from(values), dims) : int64Tensor(values, dims);
    graph.initializers.set(`c${i}`, tensor);
    return `c${i}`;
  });
  const operands = [...names, ...constants];
  if (test.condition !== undefined) {
    graph.inputs.set('condition', { type: 'float32', dims: test.condition });
    operands.unshift(graph.add('Greater', ['condition', graph.float(0)]));
  }
  const outputs = Array.from({ length: test.outputs ?? 1 }, (_, i) => `y${i}`);
  graph.add(test.op, operands, { domain: test.domain ?? '', attributes: test.attributes ?? {}, outputs });
  const read = test.read ?? outputs.map((_, i) => i);
  const terms = read.map((i) => addWeightedSum(graph, outputs[i] as string, i));
  const total = terms.reduce((sum, term) => graph.add('Add', [sum, term]));
  graph.add('Identity', [total], { outputs: ['loss'] });
  graph.outputs.set('loss', null);
  graph.prune();

  // Integer constants fix some sizes; then both probes use the size of the test. Otherwise they differ.
  const sizes = {
    N: [
      runtimeSize,
      (test.constants ?? []).some(({ dims }) => dims?.[0] === runtimeSize || dims?.[1] === runtimeSize) ||
      test.op === 'TokenLogProbability'
        ? runtimeSize
        : 5,
    ],
  } as const;
  const shapes = await probeShapes(expandComposites(graph), sizes);
  const gradients = appendGradients(graph, 'loss', names, shapes);
  for (const gradient of gradients.values()) graph.outputs.set(gradient, null);
  const expanded = expandComposites(graph);
  expanded.prune();
  const session = await createSession(expanded, { threads: 1 });
  const sizesOf = (dims: readonly (number | 'N')[]): number[] => dims.map((dim) => (dim === 'N' ? runtimeSize : dim));
  const [low, high] = test.range ?? [-1, 1];
  const gap = test.awayFromZero ?? 0;
  const draw = (dims: readonly (number | 'N')[]): Float32Array =>
    Float32Array.from({ length: elementCount(sizesOf(dims)) }, () => {
      const value = next(low, high);
      return value + Math.sign(value) * gap;
    });
  const data = test.inputs.map(draw);
  const condition = test.condition && new Tensor('float32', draw(test.condition), sizesOf(test.condition));
  const run = async (): Promise<Record<string, Tensor>> => {
    const feeds = Object.fromEntries(
      data.map((values, i) => [
        names[i] as string,
        new Tensor('float32', values, sizesOf(test.inputs[i] as readonly (number | 'N')[])),
      ]),
    );
    return (await session.run(condition ? { ...feeds, condition } : feeds)) as Record<string, Tensor>;
  };
  const first = await run();
  const results: { analytic: Float32Array; numeric: Float32Array }[] = [];
  for (const [i, values] of data.entries()) {
    const gradient = first[gradients.get(names[i] as string) as string] as Tensor;
    const numeric = new Float32Array(values.length);
    for (let k = 0; k < values.length; k++) {
      const center = values[k] as number;
      const lossAt = async (change: number): Promise<number> => {
        values[k] = center + change;
        return ((await run()).loss as Tensor).data[0] as number;
      };
      const near = (await lossAt(step)) - (await lossAt(-step));
      const far = (await lossAt(2 * step)) - (await lossAt(-2 * step));
      values[k] = center;
      numeric[k] = (8 * near - far) / (12 * step);
    }
    results.push({ analytic: gradient.data as Float32Array, numeric });
  }
  await session.release();
  return results;
}

/** Adds the sum of a value's elements, each with a weight of its own: no two elements of no two values count alike. */
function addWeightedSum(graph: Graph, value: string, offset: number): string {
  const flat = graph.add('Reshape', [value, graph.int64([-1])]);
  const count = graph.add('Squeeze', [graph.add('Shape', [flat]), graph.int64([0])]);
  const index = graph.add('Cast', [graph.add('Range', [graph.int64(0), count, graph.int64(1)])], {
    attributes: { to: { i: 1 } },
  });
  const weights = graph.add('Cos', [graph.add('Add', [index, graph.float(0.5 * offset)])]);
  return graph.add('ReduceSum', [graph.add('Mul', [flat, weights])], { attributes: { keepdims: { i: 0 } } });
}

describe('the reverse pass', () => {
  /** Runs the graph of a loss and of its gradients. */
  async function gradientsAt(graph: Graph, feeds: Readonly<Record<string, Tensor>>, wrt: readonly string[]) {
    graph.outputs.set('loss', null);
    const shapes = await probeShapes(expandComposites(graph), { M: [2, 4], N: [3, 5] });
    const gradients = appendGradients(graph, 'loss', wrt, shapes);
    for (const gradient of gradients.values()) graph.outputs.set(gradient, null);
    const expanded = expandComposites(graph);
    expanded.prune();
    const session = await createSession(expanded, { threads: 1 });
    const results = (await session.run(feeds)) as Record<string, Tensor>;
    await session.release();
    return wrt.map((name) => {
      const { dims, data } = results[gradients.get(name) as string] as Tensor;
      return { dims, values: [...(data as Float32Array)] };
    });
  }
  const lossOf = (graph: Graph, value: string) =>
    graph.add('ReduceSum', [value], { outputs: ['loss'], attributes: { keepdims: { i: 0 } } });

  it('adds up the gradients of all nodes that read a value', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N'] });
    const square = graph.add('Mul', ['x', 'x']);
    lossOf(graph, graph.add('Add', [square, graph.add('Mul', ['x', graph.float(3)])]));
    const [dx] = await gradientsAt(graph, { x: new Tensor('float32', [1, -2, 0.5], [3]) }, ['x']);
    // d(x^2 + 3x)/dx = 2x + 3
    expect(dx?.values).toEqual([5, -1, 4]);
  });

  it('sends no gradient through a detached value', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N'] });
    lossOf(graph, graph.add('Mul', ['x', addDetach(graph, 'x')]));
    const feeds = { x: new Tensor('float32', [1, -2, 0.5], [3]) };
    const [dx] = await gradientsAt(graph, feeds, ['x']);
    // d(x stop(x))/dx = stop(x)
    expect(dx?.values).toEqual([1, -2, 0.5]);
  });

  it('refuses a Slice that counts its start from the end of an axis whose size is not constant', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N', 4] });
    lossOf(graph, graph.add('Slice', ['x', graph.int64([-2]), graph.int64([3]), graph.int64([0])]));
    graph.outputs.set('loss', null);
    const shapes = await probeShapes(graph, { N: [3, 5] });
    expect(() => appendGradients(graph, 'loss', ['x'], shapes)).toThrowError(
      expect.objectContaining({ code: 'OPERATOR_NOT_DIFFERENTIABLE', message: expect.stringContaining('Slice') }),
    );
  });

  it('sums a gradient over the axes along which its value was broadcast, whatever their sizes', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['M', 'N'] });
    graph.inputs.set('row', { type: 'float32', dims: ['N'] });
    graph.inputs.set('column', { type: 'float32', dims: ['M', 1] });
    lossOf(graph, graph.add('Mul', [graph.add('Add', ['x', 'row']), graph.add('Exp', ['column'])]));
    const feeds = {
      x: new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]),
      row: new Tensor('float32', [0, 1, 0], [3]),
      column: new Tensor('float32', [0, Math.log(2)], [2, 1]),
    };
    const gradients = await gradientsAt(graph, feeds, ['x', 'row', 'column']);
    expect(gradients.map(({ dims }) => dims)).toEqual([[2, 3], [3], [2, 1]]);
    const values = gradients.flatMap((gradient) => gradient.values);
    const expected = [1, 1, 1, 2, 2, 2, 3, 3, 3, 7, 32];
    for (const [i, value] of expected.entries()) expect(values[i]).toBeCloseTo(value, 4);
  });
});

describe('gradient rules', () => {
  it.each(cases.map((test) => ({ name: test.title ?? test.op, test })))(
    '$name agrees with finite differences',
    async ({ test }) => {
      for (const { analytic, numeric } of await gradientsOf(test)) {
        expect(analytic).toHaveLength(numeric.length);
        const largest = Math.max(...numeric.map(Math.abs));
        expect(largest).toBeGreaterThan(0.1);
        for (const [k, value] of numeric.entries()) {
          expect(Math.abs((analytic[k] as number) - value), `element ${k}`).toBeLessThan(tolerance * largest);
        }
      }
    },
  );

  it('has a finite-difference test for every rule', () => {
    const tested = new Set(cases.map(({ op, domain }) => (domain ? `${domain}.${op}` : op)));
    const untested = Object.keys(gradientRules).filter((name) => !tested.has(name) && !withoutGradientTest.has(name));
    expect(untested).toEqual([]);
  });

  it('refuses an operator without a rule by name', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N'] });
    graph.add('ReduceSum', [graph.add('Cosh', ['x'])], { outputs: ['loss'], attributes: { keepdims: { i: 0 } } });
    graph.outputs.set('loss', null);
    const shapes = await probeShapes(graph, { N: [2, 3] });
    expect(() => appendGradients(graph, 'loss', ['x'], shapes)).toThrowError(
      expect.objectContaining({ code: 'OPERATOR_NOT_DIFFERENTIABLE', message: expect.stringContaining('Cosh') }),
    );
  });

  it('refuses a value from which the loss does not depend', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N'] });
    graph.inputs.set('unused', { type: 'float32', dims: ['N'] });
    graph.add('ReduceSum', ['x'], { outputs: ['loss'], attributes: { keepdims: { i: 0 } } });
    graph.outputs.set('loss', null);
    const shapes = await probeShapes(graph, { N: [2, 3] });
    expect(() => appendGradients(graph, 'loss', ['unused'], shapes)).toThrowError(/no gradient flows/);
  });
});
