/** Numbers of other types and in codes, converted, against onnxruntime on the graph as it was. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertModelFile, convertNumbers, needsConversion } from '../../../src/conversion/index.js';
import { encodeModel, float32Tensor, Graph, int64Tensor, microsoft } from '../../../src/onnx/index.js';
import { decodeQuantizedProducts } from '../../../src/package/index.js';
import { convert, halves, nibbles, run, sampled, sampledInts, tensor } from '../../support/conversion/numbers.js';
import { temporaryFolder } from '../../support/folders.js';

const [rows, K, N] = [3, 64, 48] as const;
const x = sampled(rows * K, 1);

/** A graph from `x` [rows, K] to `y`. */
function graphFrom(type: 'float32' | 'float16' = 'float32'): Graph {
  const graph = new Graph();
  graph.producer = 'an exporter';
  graph.inputs.set('x', { type, dims: ['rows', K] });
  graph.outputs.set('y', { type, dims: ['rows', 'columns'] });
  return graph;
}

async function expectSame(graph: Graph, error = 1e-5, dims: readonly number[] = [rows, K]): Promise<Graph> {
  expect(needsConversion(graph)).not.toBeNull();
  const converted = await convert(graph);
  expect(needsConversion(converted)).toBeNull();
  const [before, after] = [await run(graph, x, dims), await run(converted, x, dims)];
  expect(after.length).toBe(before.length);
  expect(largestGap(before, after)).toBeLessThan(error);
  expect(Math.max(...before.map(Math.abs))).toBeGreaterThan(10 * error);
  return converted;
}

function largestGap(before: Float32Array, after: Float32Array): number {
  return Math.max(...after.map((value, i) => Math.abs(value - (before[i] as number))));
}

const operatorsOf = (graph: Graph): string[] => graph.nodes.map(({ op }) => op);

describe('float16', () => {
  it('becomes float32: weights, constants, inputs and outputs, and casts between floats vanish', async () => {
    const graph = graphFrom('float16');
    graph.initializers.set('w', tensor('float16', [K, N], halves(sampled(K * N, 2))));
    graph.initializers.set('half', tensor('float16', [], halves([0.5])));
    const wide = graph.add('Cast', ['x'], { attributes: { to: { i: 1 } } });
    const narrow = graph.add('Cast', [graph.add('Tanh', [wide])], { attributes: { to: { i: 10 } } });
    const product = graph.add('MatMul', [narrow, 'w']);
    const constant = graph.add('Constant', [], { attributes: { value: { t: tensor('float16', [1], halves([2])) } } });
    const sum = graph.add('Add', [graph.add('Mul', [product, 'half']), constant]);
    graph.add('Cast', [sum], { attributes: { to: { i: 1 } }, outputs: ['y'] });
    graph.outputs.set('y', { type: 'float32', dims: ['rows', N] });
    const converted = await expectSame(graph, 5e-3);
    expect(operatorsOf(converted)).not.toContain('Cast');
    expect(converted.inputs.get('x')?.type).toBe('float32');
    const types = [...converted.initializers.values()].map(({ type }) => type);
    expect(new Set(types)).toEqual(new Set(['float32']));
  });

  it('has the lowest float32 in masks that hold the lowest float16', async () => {
    const graph = graphFrom();
    graph.initializers.set('lowest', tensor('float16', [], halves([-65_504])));
    graph.initializers.set('none', tensor('float16', [], halves([0])));
    const isLow = graph.add('Less', ['x', graph.float(0)]);
    const mask = graph.add('Where', [isLow, 'lowest', 'none']);
    graph.add('Cast', [mask], { attributes: { to: { i: 1 } }, outputs: ['y'] });
    const converted = await convert(graph);
    const y = await run(converted, x, [rows, K]);
    expect(Math.min(...y)).toBe(-3.4028234663852886e38);
    expect(Math.max(...y)).toBe(0);
  });

  it('keeps casts between other types', async () => {
    const graph = graphFrom();
    graph.initializers.set('limit', tensor('float16', [1], halves([0.25])));
    const small = graph.add('Cast', ['x'], { attributes: { to: { i: 10 } } });
    const isLow = graph.add('Less', [small, 'limit']);
    const number = graph.add('Cast', [isLow], { attributes: { to: { i: 10 } } });
    graph.add('Cast', [number], { attributes: { to: { i: 1 } }, outputs: ['y'] });
    const converted = await expectSame(graph);
    expect(operatorsOf(converted)).toEqual(['Less', 'Cast']);
  });

  it('leaves an output that is an input under its own name', async () => {
    const graph = graphFrom('float16');
    graph.outputs.set('y', { type: 'float32', dims: ['rows', K] });
    graph.add('Cast', ['x'], { attributes: { to: { i: 1 } }, outputs: ['y'] });
    const converted = await expectSame(graph, 1e-3);
    expect(operatorsOf(converted)).toEqual(['Identity']);
  });
});

it('reads bfloat16, which onnxruntime does not compute', async () => {
  const graph = graphFrom();
  const whole = new Uint32Array(sampled(K * N, 3).buffer);
  const upper = Uint16Array.from(whole, (bits) => bits >>> 16);
  graph.initializers.set('w', tensor('bfloat16', [K, N], upper));
  const small = graph.add('Cast', ['x'], { attributes: { to: { i: 16 } } });
  const product = graph.add('MatMul', [small, 'w']);
  graph.add('Cast', [product], { attributes: { to: { i: 1 } }, outputs: ['y'] });
  const plain = graphFrom();
  const values = new Float32Array(Uint32Array.from(upper, (bits) => bits << 16).buffer);
  plain.initializers.set('w', float32Tensor(values, [K, N]));
  plain.add('MatMul', ['x', 'w'], { outputs: ['y'] });
  expect(await run(await convert(graph), x, [rows, K])).toEqual(await run(plain, x, [rows, K]));
});

it('takes weights of float64 for float32', async () => {
  const graph = graphFrom();
  graph.initializers.set('w', tensor('float64', [K, N], Float64Array.from(sampled(K * N, 4))));
  const weight = graph.add('Cast', ['w'], { attributes: { to: { i: 1 } } });
  graph.add('MatMul', ['x', weight], { outputs: ['y'] });
  expect(operatorsOf(await expectSame(graph))).toEqual(['MatMul']);
});

describe('MatMulBnb4', () => {
  it.each([
    ['FP4', 0],
    ['NF4', 1],
  ])('becomes a MatMul by the decoded weight: %s', async (_, type) => {
    const graph = graphFrom();
    graph.initializers.set(
      'w_Bnb4',
      tensor('uint8', [(K * N) / 2], Uint8Array.from(sampledInts((K * N) / 2, 0, 255, 5))),
    );
    graph.initializers.set('w_absmax', float32Tensor(sampled((K * N) / 32, 6), [(K * N) / 32]));
    graph.add('MatMulBnb4', ['x', 'w_Bnb4', 'w_absmax'], {
      domain: microsoft,
      attributes: { K: { i: K }, N: { i: N }, block_size: { i: 32 }, quant_type: { i: type } },
      outputs: ['y'],
    });
    const converted = await expectSame(graph);
    expect(operatorsOf(converted)).toEqual(['MatMul']);
    expect(converted.initializers.get('w')?.dims).toEqual([K, N]);
  });
});

/** A product of integers as onnxruntime's dynamic quantisation writes it. */
function dynamicProduct(graph: Graph, type: 'int8' | 'uint8', perColumn: boolean, input = 'x'): void {
  const [low, high] = type === 'int8' ? [-128, 127] : [0, 255];
  const codes = sampledInts(K * N, low, high, 7);
  const count = perColumn ? N : 1;
  const points = sampledInts(count, low / 4, (low + high) / 2, 8);
  const bytes = (values: readonly number[]) => Uint8Array.from(values, (value) => value & 255);
  graph.initializers.set('w_quantized', tensor(type, [K, N], bytes(codes)));
  graph.initializers.set('w_zero_point', tensor(type, perColumn ? [N] : [], bytes(points)));
  const scales = sampled(count, 9).map((value) => Math.abs(value) * 0.01 + 0.001);
  graph.initializers.set('w_scale', float32Tensor(scales, perColumn ? [N] : []));
  graph.add('DynamicQuantizeLinear', [input], { outputs: ['q', 'q_scale', 'q_zero'] });
  const sums = graph.add('MatMulInteger', ['q', 'w_quantized', 'q_zero', 'w_zero_point'], {
    name: '/model/layers.0/mlp/up_proj/MatMul_quant',
  });
  const both = graph.add('Mul', ['q_scale', 'w_scale']);
  graph.add('Mul', [graph.add('Cast', [sums], { attributes: { to: { i: 1 } } }), both], { outputs: ['y'] });
}

/** The product by the weight that the codes of {@link dynamicProduct} mean. */
function exactly({ initializers }: Graph): Graph {
  const graph = graphFrom();
  for (const [name, value] of initializers) graph.initializers.set(name, value);
  const weight = graph.add('DequantizeLinear', ['w_quantized', 'w_scale', 'w_zero_point']);
  graph.add('MatMul', ['x', weight], { outputs: ['y'] });
  return graph;
}

describe('products of integers', () => {
  it.each([
    ['int8', true],
    ['int8', false],
    ['uint8', true],
    ['uint8', false],
  ] as const)('become products by codes of 8 bits: %s, a scale for each column: %s', async (type, perColumn) => {
    const graph = graphFrom();
    dynamicProduct(graph, type, perColumn);
    const converted = await expectSame(graph, 0.15);
    expect(operatorsOf(converted)).toEqual(['MatMulNBits']);
    // Without quantised inputs the weights are the file's own, to the last bit that float32 sums keep.
    const [node] = converted.nodes;
    converted.nodes = [{ ...(node as (typeof converted.nodes)[0]), attributes: withoutLevel(node?.attributes ?? {}) }];
    expect(node?.attributes.accuracy_level).toEqual({ i: 4 });
    const [before, after] = [await run(exactly(graph), x, [rows, K]), await run(converted, x, [rows, K])];
    expect(largestGap(before, after)).toBeLessThan(1e-5);
  });

  it('become products by codes in blocks of which the last one is not full', async () => {
    const width = 200;
    const graph = graphFrom();
    graph.inputs.set('x', { type: 'float32', dims: [1, width] });
    dynamicProduct(graph, 'int8', true);
    const codes = Int8Array.from(sampledInts(width * N, -128, 127, 29));
    graph.initializers.set('w_quantized', tensor('int8', [width, N], codes));
    const [input, converted] = [sampled(width, 30), await convert(graph)];
    const [before, after] = [await run(graph, input, [1, width]), await run(converted, input, [1, width])];
    expect(largestGap(before, after)).toBeLessThan(0.3);
    expect(converted.initializers.get('w_Q8')?.dims).toEqual([N, 2, 128]);
  });

  it('are learned through as products by the weights that their codes mean', async () => {
    const graph = graphFrom();
    dynamicProduct(graph, 'uint8', true);
    const learned = await convert(graph);
    await using _ = await decodeQuantizedProducts(learned);
    expect(operatorsOf(learned)).toEqual(['MatMul']);
    expect(learned.initializers.get('model.layers.0.mlp.up_proj.weight')?.dims).toEqual([K, N]);
    const [before, after] = [await run(exactly(graph), x, [rows, K]), await run(learned, x, [rows, K])];
    expect(largestGap(before, after)).toBeLessThan(1e-5);
  });

  it('are refused if no scales follow', async () => {
    const graph = graphFrom();
    dynamicProduct(graph, 'int8', false);
    graph.nodes = graph.nodes.filter(({ op }) => op !== 'Mul');
    graph.add('Relu', [graph.nodes.at(-1)?.outputs[0] as string], { outputs: ['y'] });
    await expectRefused(graph, 'MatMulInteger /model/layers.0/mlp/up_proj/MatMul_quant');
  });

  it('are refused if the input has another scale', async () => {
    const graph = graphFrom();
    dynamicProduct(graph, 'int8', false);
    graph.initializers.set('q_scale_2', float32Tensor(Float32Array.of(0.01), []));
    graph.replaceUses('q_scale', 'q_scale_2');
    await expectRefused(graph, 'MatMulInteger');
  });
});

function withoutLevel({ accuracy_level: _, ...rest }: Graph['nodes'][0]['attributes']): typeof rest {
  return rest;
}

describe('DequantizeLinear', () => {
  it('of a table that is looked up and turned over becomes one float32 table', async () => {
    const graph = graphFrom();
    const V = 100;
    graph.initializers.set('table_quantized', tensor('uint8', [V, K], Uint8Array.from(sampledInts(V * K, 0, 255, 10))));
    graph.initializers.set('scale', float32Tensor(Float32Array.of(0.02), []));
    graph.initializers.set('zero', tensor('uint8', [], Uint8Array.of(117)));
    graph.initializers.set('ids', int64Tensor([3, 99, 0]));
    const decode = (value: string) => graph.add('DequantizeLinear', [value, 'scale', 'zero']);
    const looked = decode(graph.add('Gather', ['table_quantized', 'ids']));
    const turned = decode(graph.add('Transpose', ['table_quantized'], { attributes: { perm: { is: [1, 0] } } }));
    graph.add('MatMul', [graph.add('Add', ['x', looked]), turned], { outputs: ['y'] });
    const converted = await expectSame(graph, 1e-3);
    expect(operatorsOf(converted).sort()).toEqual(['Add', 'Gather', 'MatMul', 'Transpose']);
    expect(converted.initializers.get('table')).toMatchObject({ type: 'float32', dims: [V, K] });
  });

  it.each([
    ['uint4', 0],
    ['int4', -8],
    ['int8', -128],
  ] as const)('of a weight in blocks becomes a product by codes: %s', async (type, low) => {
    const graph = graphFrom();
    const high = low === 0 ? 15 : -low - 1;
    const pack = (values: number[]) => (type === 'int8' ? Int8Array.from(values) : nibbles(values));
    graph.initializers.set('w_quantized', tensor(type, [K, N], pack(sampledInts(K * N, low, high, 11))));
    graph.initializers.set('w_scale', float32Tensor(sampled(2 * N, 12), [2, N]));
    graph.initializers.set('w_zero', tensor(type, [2, N], pack(sampledInts(2 * N, low, high, 13))));
    const weight = graph.add('DequantizeLinear', ['w_quantized', 'w_scale', 'w_zero'], {
      attributes: { axis: { i: 0 }, block_size: { i: 32 } },
    });
    graph.add('MatMul', ['x', weight], { outputs: ['y'] });
    const converted = await expectSame(graph, 1e-3);
    expect(operatorsOf(converted)).toEqual(['MatMulNBits']);
    expect(converted.initializers.has(type === 'int8' ? 'w_Q8' : 'w_Q4')).toBe(true);
  });

  it('of a weight [out, in] that is turned over becomes a product by codes', async () => {
    const graph = graphFrom();
    graph.initializers.set('w_quantized', tensor('int4', [N, K], nibbles(sampledInts(N * K, -8, 7, 14))));
    graph.initializers.set('w_scale', float32Tensor(sampled(N * 4, 15), [N, 4]));
    const weight = graph.add('DequantizeLinear', ['w_quantized', 'w_scale'], {
      attributes: { axis: { i: 1 }, block_size: { i: 16 } },
    });
    graph.add('MatMul', ['x', graph.add('Transpose', [weight])], { outputs: ['y'] });
    expect(operatorsOf(await expectSame(graph, 1e-4))).toEqual(['MatMulNBits']);
  });

  it('of a weight with a scale for each input becomes float32', async () => {
    const graph = graphFrom();
    graph.initializers.set('w_quantized', tensor('int8', [K, N], Int8Array.from(sampledInts(K * N, -128, 127, 16))));
    graph.initializers.set(
      'w_scale',
      float32Tensor(
        sampled(K, 17).map((value) => value / 50),
        [K],
      ),
    );
    const weight = graph.add('DequantizeLinear', ['w_quantized', 'w_scale'], { attributes: { axis: { i: 0 } } });
    graph.add('MatMul', ['x', weight], { outputs: ['y'] });
    expect(operatorsOf(await expectSame(graph, 1e-4))).toEqual(['MatMul']);
  });

  it('of activations is refused', async () => {
    const graph = graphFrom();
    const [scale, zero] = [graph.float(0.01), 'zero'];
    graph.initializers.set(zero, tensor('uint8', [], Uint8Array.of(128)));
    const codes = graph.add('QuantizeLinear', ['x', scale, zero]);
    graph.add('DequantizeLinear', [codes, scale, zero], { outputs: ['y'], name: 'decode' });
    await expectRefused(graph, 'DequantizeLinear decode');
  });
});

describe('weights in blocks', () => {
  const attributes = { K: { i: K }, N: { i: N }, bits: { i: 4 }, block_size: { i: 32 } };
  const codes = () => tensor('uint8', [N, 2, 16], Uint8Array.from(sampledInts(N * 32, 0, 255, 18)));

  it('stay in codes when their scales are float16', async () => {
    const graph = graphFrom('float16');
    graph.initializers.set('w_Q4', codes());
    graph.initializers.set('w_scales', tensor('float16', [N, 2], halves(sampled(2 * N, 19))));
    graph.initializers.set('w_zero_points', tensor('uint8', [N, 1], Uint8Array.from(sampledInts(N, 0, 255, 20))));
    graph.add('MatMulNBits', ['x', 'w_Q4', 'w_scales', 'w_zero_points'], {
      domain: microsoft,
      attributes,
      outputs: ['y'],
    });
    const converted = await expectSame(graph, 0.1);
    expect(operatorsOf(converted)).toEqual(['MatMulNBits']);
    expect(converted.initializers.get('w_scales')?.type).toBe('float32');
    expect(converted.initializers.get('w_Q4')?.type).toBe('uint8');
  });

  it.each([
    ['float16', undefined],
    ['float32', 4],
  ] as const)('with scales in %s have the accuracy level %s', async (type, level) => {
    const graph = graphFrom(type);
    graph.initializers.set('w_Q4', codes());
    const scales = sampled(2 * N, 19);
    const data = type === 'float32' ? new Uint8Array(Float32Array.from(scales).buffer) : halves(scales);
    graph.initializers.set('w_scales', tensor(type, [N, 2], data));
    graph.add('MatMulNBits', ['x', 'w_Q4', 'w_scales'], {
      domain: microsoft,
      attributes: { ...attributes, accuracy_level: { i: 4 } },
      outputs: ['y'],
    });
    const converted = await convert(graph);
    expect(converted.nodes[0]?.attributes.accuracy_level).toEqual(level === undefined ? undefined : { i: level });
  });

  it('are decoded if their zero points are floats', async () => {
    const graph = graphFrom();
    graph.initializers.set('w_Q4', codes());
    graph.initializers.set('w_scales', float32Tensor(sampled(2 * N, 21), [N, 2]));
    const points = sampled(2 * N, 22).map((value) => 7.5 + 3 * value);
    graph.initializers.set('w_zero_points', float32Tensor(points, [N, 2]));
    graph.add('MatMulNBits', ['x', 'w_Q4', 'w_scales', 'w_zero_points'], {
      domain: microsoft,
      attributes,
      outputs: ['y'],
    });
    expect(operatorsOf(await expectSame(graph, 1e-4))).toEqual(['MatMul']);
  });

  it('are decoded if they have 2 bits', async () => {
    const graph = graphFrom();
    graph.initializers.set('w_Q2', tensor('uint8', [N, 2, 8], Uint8Array.from(sampledInts(N * 16, 0, 255, 23))));
    graph.initializers.set('w_scales', float32Tensor(sampled(2 * N, 24), [N, 2]));
    graph.add('MatMulNBits', ['x', 'w_Q2', 'w_scales'], {
      domain: microsoft,
      attributes: { ...attributes, bits: { i: 2 } },
      outputs: ['y'],
    });
    expect(operatorsOf(await expectSame(graph, 1e-4))).toEqual(['MatMul']);
  });

  it('are decoded if a table has them as uint4 or int4', async () => {
    for (const type of ['uint4', 'int4'] as const) {
      const graph = graphFrom();
      const low = type === 'int4' ? -8 : 0;
      graph.initializers.set('table', tensor(type, [100, K], nibbles(sampledInts(100 * K, low, low + 15, 25))));
      graph.initializers.set('scales', float32Tensor(sampled(400, 26), [100, 4]));
      graph.initializers.set('zeros', tensor(type, [100, 4], nibbles(sampledInts(400, low, low + 15, 27))));
      graph.initializers.set('ids', int64Tensor([5, 99, 0]));
      const looked = graph.add('GatherBlockQuantized', ['table', 'ids', 'scales', 'zeros'], {
        domain: microsoft,
        attributes: { block_size: { i: 16 }, gather_axis: { i: 0 }, quantize_axis: { i: 1 } },
      });
      graph.add('Add', ['x', looked], { outputs: ['y'] });
      expect(operatorsOf(await expectSame(graph))).toEqual(['Gather', 'Add']);
    }
  });
});

it('needs no conversion for float32, and for codes that Hone reads', () => {
  const graph = graphFrom();
  graph.initializers.set('w_Q4', tensor('uint8', [N, 2, 16], new Uint8Array(N * 32)));
  graph.initializers.set('w_scales', float32Tensor(new Float32Array(2 * N), [N, 2]));
  graph.initializers.set('one', tensor('float64', [], Float64Array.of(1)));
  graph.add('MatMulNBits', ['x', 'w_Q4', 'w_scales'], { domain: microsoft, outputs: ['y'] });
  expect(needsConversion(graph)).toBeNull();
});

it.each(['QLinearMatMul', 'ConvInteger', 'DynamicQuantizeLSTM', 'QAttention'])('refuses %s by name', async (op) => {
  const graph = graphFrom();
  graph.add(op, ['x'], { name: 'layer', outputs: ['y'] });
  await expectRefused(graph, `${op} layer`);
});

async function expectRefused(graph: Graph, what: string): Promise<void> {
  expect(needsConversion(graph)).not.toBeNull();
  const refusal = { code: 'OPERATOR_UNSUPPORTED', message: expect.stringContaining(what) };
  await expect(convertNumbers(graph)).rejects.toMatchObject(refusal);
}

describe('a model file', () => {
  function written(data: string): string {
    const folder = temporaryFolder();
    const graph = graphFrom('float16');
    const bytes = halves(sampled(K * 1000, 28));
    writeFileSync(join(folder, 'data'), bytes);
    const place = { location: data, offset: 0, length: bytes.length };
    graph.initializers.set('w', { type: 'float16', dims: [K, 1000], data: place });
    graph.add('MatMul', ['x', 'w'], { outputs: ['y'] });
    writeFileSync(join(folder, 'model_fp16.onnx'), encodeModel(graph));
    return join(folder, 'model_fp16.onnx');
  }

  it('is converted once, and goes on after an interruption', async () => {
    const [path, folder] = [written('data'), temporaryFolder()];
    const stop = new AbortController();
    const cancelled = convertModelFile(path, folder, { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(cancelled).rejects.toMatchObject({ code: 'CANCELLED' });
    const done: number[] = [];
    const { bytes } = await convertModelFile(path, folder, { onProgress: (count) => done.push(count) });
    expect(bytes).toBe(4 * K * 1000);
    expect(done.at(-1)).toBe(bytes);
  });

  it('is refused if its data lies elsewhere', async () => {
    await expect(convertModelFile(written('../data'), temporaryFolder())).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining('not a file beside the model'),
    });
  });
});
