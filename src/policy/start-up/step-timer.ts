/** Times decode steps of a graph in a session with so many threads. */

import { Tensor } from 'onnxruntime-node';
import { createSession, type Graph, type ValueInfo } from '../../onnx/index.js';

/** Columns of the cache: a conversation's length, not a full context. */
const cacheColumns = 128;
const adapterRank = 8;
/** Steps before the clock runs: buffers are allocated, the threads' caches are filled, others' spinning has ended. */
const warmUpSteps = 2;

export interface StepTimer {
  /** Mean time of a step of so many rows, milliseconds, over at least `forMs` and two steps. */
  time(rows: number, forMs: number): Promise<number>;
  close(): Promise<void>;
}

export async function createStepTimer(
  graph: Graph,
  threads: { readonly threads: number; readonly spin: boolean },
): Promise<StepTimer> {
  const session = await createSession(graph, threads);
  return {
    async time(rows, forMs) {
      const feeds: Record<string, Tensor> = {};
      for (const [name, info] of graph.inputs) feeds[name] = input(info, rows);
      for (let step = 0; step < warmUpSteps; step++) await session.run(feeds);
      const startedAt = performance.now();
      let steps = 0;
      while (steps < 2 || performance.now() - startedAt < forMs) {
        await session.run(feeds);
        steps += 1;
      }
      return (performance.now() - startedAt) / steps;
    },
    close: () => session.release(),
  };
}

/** Zeros of the shape that a step of one token per row has. */
function input({ type, dims }: ValueInfo, rows: number): Tensor {
  const sizes = dims.map((dim) => {
    if (typeof dim === 'number') return dim;
    if (dim === 'B') return rows;
    if (dim === 'S') return 1;
    return dim === 'C' ? cacheColumns : adapterRank;
  });
  const count = sizes.reduce((product, size) => product * size, 1);
  return type === 'int64'
    ? new Tensor('int64', new BigInt64Array(count), sizes)
    : new Tensor('float32', new Float32Array(count), sizes);
}
