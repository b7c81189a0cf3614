/** Small graphs with numbers of other types than float32, converted and run. */

import { Tensor as OrtTensor } from 'onnxruntime-node';
import { convertNumbers, writeModel } from '../../../src/conversion/index.js';
import { createSession, type ElementType, type Graph, readModel, type Tensor } from '../../../src/onnx/index.js';
import { temporaryFolder } from '../folders.js';

/** Converts a graph, writes it, and reads what was written. */
export async function convert(graph: Graph): Promise<Graph> {
  const folder = temporaryFolder();
  await using converted = await convertNumbers(graph);
  await writeModel(folder, converted.graph, converted.weights, { key: 'test' });
  return await readModel(`${folder}/model.onnx`);
}

/**
 * Returns the output `y` for the input `x`, both in float32. Casts around a graph in float16 are added, because not every
 * Node has arrays of that type. Decoded weights are outputs too, so that onnxruntime computes with them: otherwise it
 * takes products by them for products by codes, and quantises the input as well.
 */
export async function run(source: Graph, x: Float32Array, dims: readonly number[]): Promise<Float32Array> {
  const graph = source.clone();
  for (const { op, outputs } of graph.nodes) {
    if (op === 'DequantizeLinear') graph.outputs.set(outputs[0] as string, null);
  }
  const input = graph.inputs.get('x');
  if (input?.type === 'float16') {
    graph.inputs.delete('x');
    graph.inputs.set('x32', { ...input, type: 'float32' });
    graph.add('Cast', ['x32'], { attributes: { to: { i: 10 } }, outputs: ['x'] });
  }
  if (graph.outputs.get('y')?.type === 'float16') {
    graph.outputs.delete('y');
    graph.add('Cast', ['y'], { attributes: { to: { i: 1 } }, outputs: ['y32'] });
    graph.outputs.set('y32', null);
  }
  graph.prune();
  const session = await createSession(graph, { threads: 1 });
  try {
    const [name] = graph.inputs.keys();
    const results = await session.run({ [name as string]: new OrtTensor('float32', x, dims) });
    return (results.y32 ?? results.y)?.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** Little-endian float16 of values, each rounded to the nearest. */
export function halves(values: Float32Array | readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint16Array.from(values, nearestHalf).buffer);
}

/** The smallest positive bits by their value. */
const halfValues = Array.from({ length: 0x7c00 }, (_, bits) => halfOf(bits));

function nearestHalf(value: number): number {
  const size = Math.abs(value);
  let [low, high] = [0, halfValues.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((halfValues[middle] as number) <= size) low = middle;
    else high = middle;
  }
  const bits = size - (halfValues[low] as number) <= (halfValues[high] as number) - size ? low : high;
  return value < 0 ? bits | 0x8000 : bits;
}

function halfOf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

export function tensor(type: ElementType, dims: readonly number[], data: ArrayLike<number> & ArrayBufferView): Tensor {
  return { type, dims, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/** Values that differ, of about the size of weights. */
export function sampled(count: number, seed: number): Float32Array {
  let state = seed * 2_654_435_761 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state / 2 ** 32;
  });
}

/** Whole numbers in a range. */
export function sampledInts(count: number, low: number, high: number, seed: number): number[] {
  return Array.from(sampled(count, seed), (value) => low + Math.floor((value + 0.5) * (high - low + 1)));
}

/** Values of 4 bits, two in each byte. */
export function nibbles(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 2));
  for (const [i, value] of values.entries()) {
    bytes[i >> 1] = (bytes[i >> 1] as number) | ((value & 15) << (4 * (i & 1)));
  }
  return bytes;
}
