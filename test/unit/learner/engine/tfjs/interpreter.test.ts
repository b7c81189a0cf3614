/** The interpreter is an oracle only if it computes what onnxruntime computes, operator by operator. */

import type { Tensor as TfjsTensor } from '@tensorflow/tfjs';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createInterpreter } from '../../../../../src/learner/engine/tfjs/interpreter.js';
import {
  type Attributes,
  createSession,
  float32Tensor,
  Graph,
  int64Tensor,
  microsoft,
} from '../../../../../src/onnx/index.js';
import { openTestTfjs } from '../../../../support/tfjs.js';

const { tf } = await openTestTfjs();

/** An operand: random floats of a shape, or given numbers. */
type Operand =
  | readonly number[]
  | { readonly ints: readonly number[]; readonly dims?: readonly number[] }
  | { readonly bools: readonly number[] }
  | { readonly floats: readonly number[] }
  | null;

interface Case {
  readonly title?: string;
  readonly op: string;
  readonly domain?: string;
  readonly operands: readonly Operand[];
  readonly attributes?: Attributes;
  readonly outputs?: number;
  /** Floats lie in (0.5, 2) instead of (-1, 1). */
  readonly positive?: boolean;
}

const ints = (...values: number[]): Operand => ({ ints: values });
const scalar = (value: number): Operand => ({ ints: [value], dims: [] });
const axis = (i: number): Attributes => ({ axis: { i } });

const floatUnary = ['Neg', 'Abs', 'Exp', 'Sigmoid', 'Tanh', 'Erf', 'Relu', 'Cos', 'Sin', 'Floor', 'Identity'];
const comparisons = ['Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Equal'];

const cases: readonly Case[] = [
  ...floatUnary.map((op) => ({ op, operands: [[2, 3]] })),
  ...['Sqrt', 'Log', 'Reciprocal'].map((op) => ({ op, operands: [[2, 3]], positive: true })),
  ...['Add', 'Sub', 'Mul', 'Div'].map((op) => ({
    op,
    operands: [
      [2, 1, 3],
      [4, 1],
    ],
    positive: true,
  })),
  { op: 'Div', title: 'Div of integers', operands: [ints(7, 8, 9), ints(2, 2, 2)] },
  { op: 'Gelu', operands: [[2, 3]] },
  { op: 'Gelu', title: 'Gelu by tanh', operands: [[2, 3]], attributes: { approximate: { s: 'tanh' } } },
  ...['Gelu', 'FastGelu', 'QuickGelu'].map((op) => ({
    op,
    title: `com.microsoft.${op}`,
    domain: microsoft,
    operands: [[2, 3]],
  })),
  { op: 'FastGelu', title: 'FastGelu with a bias', domain: microsoft, operands: [[2, 3], [3]] },
  { op: 'LayerNormalization', operands: [[2, 3, 4], [4], [4]], attributes: { epsilon: { f: 1e-5 } } },
  { op: 'Pow', operands: [[2, 3], []], positive: true },
  ...['Sum', 'Min', 'Max'].map((op) => ({ op, operands: [[2, 3], [2, 3], [3]] })),
  { op: 'Cast', title: 'Cast to int64', operands: [[2, 3]], attributes: { to: { i: 7 } } },
  { op: 'Cast', title: 'Cast to float', operands: [ints(1, 2)], attributes: { to: { i: 1 } } },
  { op: 'Where', operands: [{ bools: [1, 0, 1] }, [2, 3], []] },
  ...comparisons.map((op) => ({ op, operands: [ints(1, 2, 3), ints(2, 2, 2)] })),
  ...['And', 'Or'].map((op) => ({ op, operands: [{ bools: [1, 0, 1] }, { bools: [1, 1, 0] }] })),
  { op: 'Not', operands: [{ bools: [1, 0] }] },
  { op: 'IsNaN', operands: [{ floats: [1, Number.NaN, Number.POSITIVE_INFINITY] }] },
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin'].flatMap((op) => [
    { op, title: `${op} of one axis`, operands: [[2, 3, 4], ints(-1)], attributes: { keepdims: { i: 0 } } },
    { op, title: `${op} of everything`, operands: [[2, 3, 4]] },
  ]),
  ...['Softmax', 'LogSoftmax'].flatMap((op) => [
    { op, operands: [[2, 3, 4]] },
    { op, title: `${op} over axis 1`, operands: [[2, 3, 4]], attributes: axis(1) },
  ]),
  { op: 'CumSum', operands: [[2, 3], scalar(1)], attributes: { exclusive: { i: 1 } } },
  { op: 'CumSum', title: 'CumSum of integers', operands: [{ ints: [1, 2, 3, 4], dims: [2, 2] }, scalar(0)] },

  {
    op: 'MatMul',
    operands: [
      [2, 3, 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    title: 'MatMul with broadcast batches',
    operands: [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
  },
  { op: 'MatMul', title: 'MatMul of a vector', operands: [[4], [4, 2]] },
  { op: 'Gemm', operands: [[3, 2], [4, 3], [4]], attributes: { transA: { i: 1 }, transB: { i: 1 }, alpha: { f: 2 } } },
  {
    op: 'FusedMatMul',
    domain: microsoft,
    operands: [
      [2, 2, 3, 4],
      [2, 2, 5, 4],
    ],
    attributes: { transB: { i: 1 }, alpha: { f: 0.5 } },
  },
  {
    op: 'FusedMatMul',
    title: 'FusedMatMul with transA',
    domain: microsoft,
    operands: [
      [4, 3],
      [4, 2],
    ],
    attributes: { transA: { i: 1 } },
  },
  { op: 'SimplifiedLayerNormalization', operands: [[2, 3, 4], [4]], attributes: { epsilon: { f: 1e-5 } } },
  {
    op: 'SkipSimplifiedLayerNormalization',
    domain: microsoft,
    operands: [[2, 3, 4], [2, 3, 4], [4]],
    attributes: { epsilon: { f: 1e-5 } },
  },
  {
    op: 'RotaryEmbedding',
    title: 'com.microsoft.RotaryEmbedding of packed heads',
    domain: microsoft,
    operands: [[2, 3, 8], { ints: [0, 1, 2, 4, 5, 6], dims: [2, 3] }, [8, 2], [8, 2]],
  },
  {
    op: 'RotaryEmbedding',
    title: 'com.microsoft.RotaryEmbedding of separate heads',
    domain: microsoft,
    operands: [[2, 2, 3, 4], { ints: [0, 1, 2, 4, 5, 6], dims: [2, 3] }, [8, 2], [8, 2]],
  },
  {
    op: 'RotaryEmbedding',
    title: 'com.microsoft.RotaryEmbedding, interleaved, from an offset',
    domain: microsoft,
    operands: [[2, 3, 8], ints(2), [8, 2], [8, 2]],
    attributes: { interleaved: { i: 1 } },
  },

  { op: 'Reshape', operands: [[2, 3, 4], ints(0, -1)] },
  { op: 'Flatten', operands: [[2, 3, 4]], attributes: axis(2) },
  { op: 'Transpose', operands: [[2, 3, 4]], attributes: { perm: { is: [2, 0, 1] } } },
  { op: 'Unsqueeze', operands: [[2, 3], ints(0, -1)] },
  { op: 'Squeeze', operands: [[1, 2, 1, 3], ints(-2)] },
  { op: 'Slice', operands: [[5, 4], ints(1, -3), ints(Number.MAX_SAFE_INTEGER, -1), ints(0, 1)] },
  { op: 'Slice', title: 'Slice backwards', operands: [[5], ints(-1), ints(-100), ints(0), ints(-2)] },
  {
    op: 'Concat',
    operands: [
      [2, 3],
      [2, 1],
    ],
    attributes: axis(-1),
  },
  { op: 'Split', operands: [[2, 5], ints(2, 3)], attributes: axis(1), outputs: 2 },
  { op: 'Expand', operands: [[3, 1], ints(2, 1, 4)] },
  { op: 'Tile', operands: [[2, 3], ints(2, 1)] },
  { op: 'Gather', operands: [[5, 3], { ints: [4, 0, -1, 2], dims: [2, 2] }] },
  { op: 'Gather', title: 'Gather of one index', operands: [[2, 5], scalar(1)], attributes: axis(1) },
  { op: 'GatherElements', operands: [[2, 4], { ints: [3, 0], dims: [2, 1] }], attributes: axis(1) },
  { op: 'GatherElements', title: 'GatherElements over axis 0', operands: [[3, 2], { ints: [2, 0], dims: [1, 2] }] },
  { op: 'GatherND', operands: [[2, 3, 4], { ints: [0, 2, 1, 1], dims: [2, 2] }] },
  {
    op: 'GatherND',
    title: 'GatherND per batch',
    operands: [[2, 3, 4], { ints: [2, 0], dims: [2, 1] }],
    attributes: { batch_dims: { i: 1 } },
  },
  { op: 'Trilu', operands: [[2, 3, 4], scalar(1)], attributes: { upper: { i: 1 } } },
  { op: 'Trilu', title: 'Trilu of the lower part', operands: [[3, 3]], attributes: { upper: { i: 0 } } },
  { op: 'Shape', operands: [[2, 3]] },
  { op: 'Size', operands: [[2, 3]] },
  { op: 'Range', operands: [scalar(2), scalar(9), scalar(3)] },
  {
    op: 'ConstantOfShape',
    operands: [ints(2, 3)],
    attributes: { value: { t: float32Tensor(Float32Array.of(7), [1]) } },
  },
  { op: 'Constant', operands: [], attributes: { value: { t: int64Tensor([3, 4]) } } },
];

/** Deterministic numbers in (-1, 1) or (0.5, 2). */
function numbers(count: number, seed: number, positive: boolean): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const u = Math.abs(Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453) % 1;
    return positive ? 0.5 + 1.5 * u : 2 * u - 1;
  });
}

function build(test: Case): { graph: Graph; ort: Record<string, Tensor>; tfjs: Map<string, TfjsTensor> } {
  const graph = new Graph();
  const ort: Record<string, Tensor> = {};
  const tfjs = new Map<string, TfjsTensor>();
  const names = test.operands.map((operand, i) => {
    if (operand === null) return '';
    const name = `x${i}`;
    if (Array.isArray(operand)) {
      const dims = [...(operand as readonly number[])];
      const data = numbers(
        dims.reduce((a, b) => a * b, 1),
        i,
        test.positive ?? false,
      );
      graph.inputs.set(name, { type: 'float32', dims });
      ort[name] = new Tensor('float32', data, dims);
      tfjs.set(name, tf.tensor(data, dims, 'float32'));
    } else if ('ints' in operand) {
      // Integers are constants, as shapes and indices are in a decoder.
      graph.initializers.set(name, int64Tensor(operand.ints, operand.dims ?? [operand.ints.length]));
    } else if ('floats' in operand) {
      const dims = [operand.floats.length];
      graph.inputs.set(name, { type: 'float32', dims });
      ort[name] = new Tensor('float32', Float32Array.from(operand.floats), dims);
      tfjs.set(name, tf.tensor(Float32Array.from(operand.floats), dims, 'float32'));
    } else if ('bools' in operand) {
      const dims = [operand.bools.length];
      graph.inputs.set(name, { type: 'bool', dims });
      ort[name] = new Tensor('bool', Uint8Array.from(operand.bools), dims);
      tfjs.set(name, tf.tensor(Uint8Array.from(operand.bools), dims, 'bool'));
    }
    return name;
  });
  const outputs = Array.from({ length: test.outputs ?? 1 }, (_, i) => `y${i}`);
  graph.add(test.op, names, { domain: test.domain ?? '', attributes: test.attributes ?? {}, outputs });
  for (const output of outputs) graph.outputs.set(output, null);
  return { graph, ort, tfjs };
}

/** Gradients of the value `loss`. */
async function gradientsOf(
  graph: Graph,
  feeds: ReadonlyMap<string, TfjsTensor>,
  wrt: readonly string[],
): Promise<number[][]> {
  graph.outputs.set('loss', null);
  const { gradients } = (await createInterpreter(tf, graph)).gradients(feeds, 'loss', wrt);
  return gradients.map((gradient) => Array.from(gradient.dataSync()));
}

describe('the TF.js interpreter', () => {
  it.each(cases.map((test) => [test.title ?? test.op, test] as const))(
    'computes %s as onnxruntime does',
    async (_, test) => {
      const { graph, ort, tfjs } = build(test);
      const session = await createSession(graph, { threads: 1 });
      const expected = await session.run(ort);
      await session.release();
      const names = Object.keys(expected);
      const interpreter = await createInterpreter(tf, graph);
      const actual = interpreter.run(tfjs, names);
      for (const [output, name] of names.entries()) {
        const [tensor, mine] = [expected[name] as Tensor, actual[output] as TfjsTensor];
        expect(mine.shape).toEqual([...tensor.dims]);
        const want = Array.from(tensor.data as Iterable<number | bigint | boolean>, Number);
        const got = Array.from(mine.dataSync(), Number);
        for (const [i, value] of want.entries()) expect(got[i]).toBeCloseTo(value, 5);
      }
    },
  );

  it('gives the gradient of a scalar through broadcast products', async () => {
    const graph = new Graph();
    graph.inputs.set('a', { type: 'float32', dims: [2, 2] });
    graph.inputs.set('b', { type: 'float32', dims: [2] });
    const y = graph.add('Mul', [graph.add('MatMul', ['a', 'b']), 'b']);
    graph.add('ReduceSum', [y, graph.int64([0])], { outputs: ['loss'], attributes: { keepdims: { i: 0 } } });
    const feeds = new Map<string, TfjsTensor>([
      ['a', tf.tensor2d([1, 2, 3, 4], [2, 2])],
      ['b', tf.tensor1d([5, 7])],
    ]);
    // loss = b^T a b: da = b b^T, db = (a + a^T) b
    const [a, b] = await gradientsOf(graph, feeds, ['a', 'b']);
    expect(a).toEqual([25, 35, 35, 49]);
    expect(b).toEqual([45, 81]);
  });

  it('lets no gradient through Detach', async () => {
    const graph = new Graph();
    graph.inputs.set('a', { type: 'float32', dims: [] });
    graph.add('Mul', ['a', graph.add('Detach', ['a'], { domain: 'hone' })], { outputs: ['loss'] });
    expect(await gradientsOf(graph, new Map([['a', tf.scalar(3)]]), ['a'])).toEqual([[3]]);
  });

  it('refuses an unknown operator by name', async () => {
    const graph = new Graph();
    graph.inputs.set('a', { type: 'float32', dims: [] });
    graph.add('Mystery', ['a'], { domain: 'elsewhere', outputs: ['y'] });
    graph.outputs.set('y', null);
    await expect(createInterpreter(tf, graph)).rejects.toThrow(/elsewhere\.Mystery/);
  });
});
