/**
 * Measures the limits of this machine, with the fastest code at hand and in the same run as the results that are compared
 * with them.
 *
 * The read bandwidth is measured by onnxruntime reductions and a matrix-vector product over one large tensor, on all
 * threads. The GEMM rate is measured by float32 products with a constant (prepacked) right side in several shapes. The
 * best of each counts.
 */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { createSession, float32Tensor, Graph } from '../../src/onnx/index.js';
import { fastestSeconds } from './statistics.js';

/** Threads spin, because nothing else runs while a limit is measured. */
const sessionOptions = (threads: number) => ({ threads, spin: true, memoryPattern: true });

interface Reader {
  readonly name: string;
  readonly build: (rows: number, columns: number) => Graph;
  readonly feed: (columns: number) => Record<string, Tensor>;
}

function readerGraph(rows: number, columns: number): Graph {
  const graph = new Graph();
  graph.inputs.set('x', { type: 'float32', dims: [rows, columns] });
  graph.outputs.set('y', null);
  return graph;
}

const readers: readonly Reader[] = [
  ...(['ReduceSum', 'ReduceMax'] as const).map((op) => ({
    name: op,
    build: (rows: number, columns: number) => {
      const graph = readerGraph(rows, columns);
      graph.add(op, ['x', graph.int64([1])], { outputs: ['y'] });
      return graph;
    },
    feed: () => ({}),
  })),
  {
    name: 'MatMul',
    build: (rows, columns) => {
      const graph = readerGraph(rows, columns);
      graph.inputs.set('v', { type: 'float32', dims: [columns, 1] });
      graph.add('MatMul', ['x', 'v'], { outputs: ['y'] });
      return graph;
    },
    feed: (columns) => ({ v: new Tensor('float32', new Float32Array(columns).fill(1), [columns, 1]) }),
  },
];

/** Returns the bytes per second that the threads read from a tensor of `bytes`, and the fastest operator. */
export async function measureReadBandwidth(
  bytes: number,
  threads: number,
): Promise<{ bytesPerSecond: number; operator: string }> {
  // There are enough rows for all threads, and each is long enough to stream.
  const columns = Math.max(256, Math.min(262_144, 2 ** Math.floor(Math.log2(bytes / 4 / 64))));
  const rows = Math.ceil(bytes / 4 / columns);
  const x = new Tensor('float32', new Float32Array(rows * columns).fill(1), [rows, columns]);
  // A small tensor is read several times, so that one timing takes some milliseconds.
  const passes = Math.max(1, Math.round(64e6 / bytes));
  let best = { bytesPerSecond: 0, operator: '' };
  for (const { name, build, feed } of readers) {
    const session = await createSession(build(rows, columns), sessionOptions(threads));
    const feeds = { x, ...feed(columns) };
    const seconds = await fastestSeconds(6, async () => {
      for (let i = 0; i < passes; i++) await session.run(feeds);
    });
    await session.release();
    const bytesPerSecond = (passes * rows * columns * 4) / seconds;
    if (bytesPerSecond > best.bytesPerSecond) best = { bytesPerSecond, operator: name };
  }
  return best;
}

/** Shapes of the products as [rows, inner, columns]: square ones and those of decoders. */
const gemmShapes: readonly (readonly [number, number, number])[] = [
  [1024, 1024, 1024],
  [2048, 2048, 2048],
  [1024, 576, 1536],
  [1024, 1536, 576],
  [512, 576, 4096],
  [1024, 4096, 1024],
];

/** Returns the floating-point operations per second of float32 products with a constant right side, and the best shape. */
export async function measureGemmRate(
  threads: number,
  shapes: readonly (readonly [number, number, number])[] = gemmShapes,
): Promise<{ flopsPerSecond: number; shape: string }> {
  let best = { flopsPerSecond: 0, shape: '' };
  for (const [rows, inner, columns] of shapes) {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: [rows, inner] });
    graph.initializers.set('w', float32Tensor(new Float32Array(inner * columns).fill(0.5), [inner, columns]));
    graph.add('MatMul', ['x', 'w'], { outputs: ['y'] });
    graph.outputs.set('y', null);
    const session: InferenceSession = await createSession(graph, sessionOptions(threads));
    const feeds = { x: new Tensor('float32', new Float32Array(rows * inner).fill(0.5), [rows, inner]) };
    const seconds = await fastestSeconds(8, () => session.run(feeds));
    await session.release();
    const flopsPerSecond = (2 * rows * inner * columns) / seconds;
    if (flopsPerSecond > best.flopsPerSecond) best = { flopsPerSecond, shape: `${rows}x${inner}x${columns}` };
  }
  return best;
}
