/** Micro-batches against one pass over the same batch. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keepToBudget } from '../../../../src/learner/engine/memory-budget.js';
import { createPassMemory } from '../../../../src/learner/engine/pass-memory.js';
import {
  createBoundedOnnxEngine,
  createOnnxEngine,
  differentiateCopg,
  MicroBatchEngine,
  type OnnxEngine,
  planMicroBatches,
  type TrainingRow,
} from '../../../../src/learner/index.js';
import { Graph } from '../../../../src/onnx/index.js';
import { largestDifference, readOracleFixture, relativeError, tinyPackage } from '../../../oracles/fixture.js';

const fixture = readOracleFixture();
const { rank, scale } = fixture.adapter;
const options = { packageDirectory: tinyPackage, rank, scale, threads: 1 };

let engine: OnnxEngine;
beforeAll(async () => {
  engine = await createOnnxEngine(options);
});
afterAll(() => engine.close());

/** Passes of at most so many positions, and the number that there were. */
function inPasses(most: number): { split: MicroBatchEngine; passes: () => number } {
  let passes = 0;
  const counting = {
    name: engine.name,
    targets: engine.targets,
    logProbabilities: engine.logProbabilities.bind(engine),
    promptFeatures: (...args: Parameters<OnnxEngine['promptFeatures']>) => engine.promptFeatures(...args),
    differentiate: (...args: Parameters<OnnxEngine['differentiate']>) => {
      passes += 1;
      return engine.differentiate(...args);
    },
    close: async () => {},
  };
  const split = new MicroBatchEngine(counting, { fits: ({ sequences, length }) => sequences * length <= most });
  return { split, passes: () => passes };
}

describe('micro-batches', () => {
  it.each([1, 24, 60])('of %i positions at most give the gradients of one pass', async (most) => {
    const { split, passes } = inPasses(most);
    const whole = await differentiateCopg(engine, fixture.batch, fixture.parameters);
    const parts = await differentiateCopg(split, fixture.batch, fixture.parameters);
    expect(passes()).toBeGreaterThan(1);
    for (const [name, gradient] of whole.gradients) {
      expect(relativeError(parts.gradients.get(name) ?? [], gradient), name).toBeLessThan(1e-5);
    }
    expect(largestDifference(parts.logprobs, whole.logprobs)).toBeLessThan(1e-4);
    expect(largestDifference(parts.weights, whole.weights)).toBeLessThan(1e-5);
    expect(parts.loss).toBeCloseTo(whole.loss, 5);
    expect(parts.surrogate).toBeCloseTo(whole.surrogate, 3);
  });

  it('are not made where one pass holds the batch', async () => {
    const { split, passes } = inPasses(1e6);
    await differentiateCopg(split, fixture.batch, fixture.parameters);
    expect(passes()).toBe(1);
  });

  it('hold each row once, and whole prompts where these fit', () => {
    const row = (prompt: number, tokens: number): TrainingRow => ({
      promptTokens: [prompt, prompt, prompt],
      completionTokens: new Array<number>(tokens).fill(9),
    });
    const rows = [row(1, 4), row(2, 5), row(1, 3), row(3, 20), row(2, 2), row(3, 4)];
    const fits = ({ sequences, length }: { sequences: number; length: number }): boolean => sequences * length <= 22;
    // Prompt 3 takes 27 positions with both of its completions, and 23 with the longer one alone.
    expect(planMicroBatches(rows, { fits })).toEqual([[3], [0, 2, 1, 4], [5]]);
  });
});

describe('the memory of a pass', () => {
  it('is what is alive at once, by the sizes of the batch', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['B', 'T', 8] });
    const squared = graph.add('Mul', ['x', 'x']);
    const seen = graph.add('Reshape', [squared, graph.int64([0, -1])]);
    const total = graph.add('ReduceSum', [seen, graph.int64([1])], { attributes: { keepdims: { i: 0 } } });
    graph.add('Exp', [total], { outputs: ['y'] });
    graph.outputs.set('y', null);
    const memory = await createPassMemory(graph);
    // x * x [B, T, 8] and the sums [B] meet; the view of the former takes nothing.
    expect(memory({ sequences: 10, length: 100, targets: 1, rows: 1 })).toBe(4 * (10 * 100 * 8 + 10));
  });

  it('splits a batch that the budget does not hold, and no other', async () => {
    const bytesPerPosition = 1000;
    const memory = {
      backward: ({ sequences, length }: { sequences: number; length: number }) => sequences * length * bytesPerPosition,
      forward: () => 0,
      mappedBytes: 5000,
      maxLength: Number.POSITIVE_INFINITY,
    };
    const passesWithin = async (memoryBytes: number): Promise<number> => {
      let passes = 0;
      const counting = Object.assign(Object.create(engine) as OnnxEngine, {
        targets: engine.targets,
        logProbabilities: engine.logProbabilities.bind(engine),
        differentiate: (...args: Parameters<OnnxEngine['differentiate']>) => {
          passes += 1;
          return engine.differentiate(...args);
        },
      });
      const bounded = keepToBudget(counting, memory, memoryBytes, 0, 10_000);
      await differentiateCopg(bounded, fixture.batch, fixture.parameters);
      return passes;
    };
    expect(await passesWithin(1e6)).toBe(1);
    expect(await passesWithin(100_000)).toBeGreaterThan(1);
  });

  it('refuses a budget that the model alone exceeds, with the budget that would do', async () => {
    await expect(createBoundedOnnxEngine(options, 1e6)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/may use 1 MB, and the model takes \d+ MB/),
    });
  });
});
