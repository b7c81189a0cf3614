/** Times decode steps of a graph in a session with a given number of threads. */

import { Tensor } from 'onnxruntime-node';
import { createSession, type Graph, type ValueInfo } from '../../onnx/index.js';

/** Columns of the cache: the length of a short conversation, not a full context. */
const cacheColumns = 128;
const adapterRank = 8;
/**
 * Steps that are not timed. They allocate buffers and fill caches, and threads of other sessions stop spinning
 * meanwhile.
 */
const warmUpSteps = 2;

export interface StepTimer {
  /** Returns the mean milliseconds of a step of `rows` rows, measured for at least `forMs` and two steps. */
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

/** Returns zeros in the shape of an input of a step with one token per row. */
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
