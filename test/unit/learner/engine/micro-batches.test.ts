/** Compares micro-batches with one pass over the same batch. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keepToBudget } from '../../../../src/learner/engine/memory-budget.js';
import { MicroBatchEngine, planMicroBatches } from '../../../../src/learner/engine/micro-batches.js';
import { createBoundedOnnxEngine, type OnnxEngine } from '../../../../src/learner/engine/onnx-engine.js';
import { createPassMemory, type PassShape } from '../../../../src/learner/engine/pass-memory.js';
import {
  createOnnxEngine,
  differentiateCopg,
  type TrainingEngine,
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

/** The engine, with a count of its passes: with gradients, and forward only. */
function countPasses(): { readonly counting: TrainingEngine; readonly passes: { gradients: number; forward: number } } {
  const passes = { gradients: 0, forward: 0 };
  const counting: TrainingEngine = {
    name: engine.name,
    targets: engine.targets,
    logProbabilities: (...args) => {
      passes.forward += 1;
      return engine.logProbabilities(...args);
    },
    promptFeatures: (...args) => engine.promptFeatures(...args),
    differentiate: (...args) => {
      passes.gradients += 1;
      return engine.differentiate(...args);
    },
    close: async () => {},
  };
  return { counting, passes };
}

const positions = ({ sequences, length }: { readonly sequences: number; readonly length: number }): number =>
  sequences * length;

describe('micro-batches', () => {
  it.each([1, 24, 60])('of at most %i positions give the gradients of one pass', async (most) => {
    const { counting, passes } = countPasses();
    const split = new MicroBatchEngine(counting, { fits: (shape) => positions(shape) <= most });
    const whole = await differentiateCopg(engine, fixture.batch, fixture.parameters);
    const parts = await differentiateCopg(split, fixture.batch, fixture.parameters);
    expect(passes.gradients).toBeGreaterThan(1);
    // The weights need the log-probabilities of all rows first.
    expect(passes.forward).toBe(passes.gradients);
    for (const [name, gradient] of whole.gradients) {
      expect(relativeError(parts.gradients.get(name) ?? [], gradient), name).toBeLessThan(1e-5);
    }
    expect(largestDifference(parts.logprobs, whole.logprobs)).toBeLessThan(1e-4);
    expect(largestDifference(parts.weights, whole.weights)).toBeLessThan(1e-5);
    expect(parts.loss).toBeCloseTo(whole.loss, 5);
    expect(parts.surrogate).toBeCloseTo(whole.surrogate, 3);
  });

  it('need no pass forward if the weights are constants', async () => {
    const { counting, passes } = countPasses();
    const split = new MicroBatchEngine(counting, { fits: (shape) => positions(shape) <= 24 });
    const { rows } = fixture.batch;
    const form = { constants: rows.map((_, i) => Math.cos(3 * i)) };
    const whole = await engine.differentiate(rows, form, fixture.parameters);
    const parts = await split.differentiate(rows, form, fixture.parameters);
    expect(passes.gradients).toBeGreaterThan(1);
    expect(passes.forward).toBe(0);
    for (const [name, gradient] of whole.gradients) {
      expect(relativeError(parts.gradients.get(name) ?? [], gradient), name).toBeLessThan(1e-5);
    }
  });

  it('are not made if one pass holds the batch', async () => {
    const { counting, passes } = countPasses();
    const split = new MicroBatchEngine(counting, { fits: () => true });
    await differentiateCopg(split, fixture.batch, fixture.parameters);
    expect(passes).toEqual({ gradients: 1, forward: 0 });
  });

  it('hold each row once, and whole prompts if these fit', () => {
    const row = (prompt: number, tokens: number): TrainingRow => ({
      promptTokens: [prompt, prompt, prompt],
      completionTokens: new Array<number>(tokens).fill(9),
    });
    const rows = [row(1, 4), row(2, 5), row(1, 3), row(3, 20), row(2, 2), row(3, 4)];
    // Prompt 3 takes 27 positions with both of its completions, and 23 with the longer one alone.
    expect(planMicroBatches(rows, { fits: (shape) => positions(shape) <= 22 })).toEqual([[3], [0, 2, 1, 4], [5]]);
  });
});

describe('the memory of a pass', () => {
  it('is the largest sum of values alive at once, for the sizes of a batch', async () => {
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

  it('decides that a batch over the budget is split, and no other', async () => {
    const memory = {
      backward: (shape: PassShape) => 1000 * positions(shape),
      forward: () => 0,
      mappedBytes: 5000,
      maxLength: Number.POSITIVE_INFINITY,
    };
    const passesWithin = async (memoryBytes: number): Promise<number> => {
      const { counting, passes } = countPasses();
      const { engine: bounded } = keepToBudget(counting, memory, memoryBytes, 0, 10_000);
      await differentiateCopg(bounded, fixture.batch, fixture.parameters);
      return passes.gradients;
    };
    expect(await passesWithin(1e6)).toBe(1);
    expect(await passesWithin(100_000)).toBeGreaterThan(1);
  });

  it('decides that a budget below the size of the model is refused, with the smallest budget that works', async () => {
    await expect(createBoundedOnnxEngine(options, 1e6)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/may use 1 MB, and the model takes \d+ MB/),
    });
  });
});
