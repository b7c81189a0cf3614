/** Compares the training variant with Hugging Face transformers and PyTorch on the same weights (test/oracles). */

import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expandComposites } from '../../../../src/autodiff/index.js';
import { createOnnxEngine, type OnnxEngine } from '../../../../src/learner/engine/onnx-engine.js';
import { packRows } from '../../../../src/learner/engine/packing.js';
import { toTrainingGraph } from '../../../../src/learner/engine/training-graph.js';
import { differentiateCopg } from '../../../../src/learner/index.js';
import { weightsOf } from '../../../../src/learner/linear-form.js';
import { copgForm } from '../../../../src/learner/objective.js';
import type { Parameters } from '../../../../src/learner/types.js';
import { createSession, type Node, readModel } from '../../../../src/onnx/index.js';
import { attachAdapters, findLinears } from '../../../../src/package/index.js';
import { largestDifference, readOracleFixture, relativeError, tinyPackage } from '../../../oracles/fixture.js';

const fixture = readOracleFixture();
const { rank, scale } = fixture.adapter;
const zeroAdapter: Parameters = new Map(
  [...fixture.parameters].map(([name, { dims, data }]) => [name, { dims, data: new Float32Array(data.length) }]),
);

let engine: OnnxEngine;
beforeAll(async () => {
  engine = await createOnnxEngine({ packageDirectory: tinyPackage, rank, scale, threads: 1 });
});
afterAll(() => engine.close());

/** Logits [T, V] of the training variant at every position of one sequence. */
async function trainingLogits(tokens: readonly number[], parameters: Parameters): Promise<Float32Array> {
  const graph = toTrainingGraph(await readModel(join(tinyPackage, 'onnx/model.onnx')));
  attachAdapters(graph, findLinears(graph), rank, scale);
  const logits = (graph.nodes.find((node) => node.op === 'TokenLogProbability') as Node).inputs[0] as string;
  graph.outputs.clear();
  graph.outputs.set(logits, null);
  const runnable = expandComposites(graph);
  runnable.prune();
  const session = await createSession(runnable, { threads: 1 });
  const { feeds } = packRows([{ promptTokens: tokens, completionTokens: [0] }]);
  const positions = BigInt64Array.from(tokens, (_, i) => BigInt(i));
  // packRows appends the token of the completion, which no position before it attends to.
  const available: Record<string, Tensor> = {
    ...feeds,
    target_positions: new Tensor('int64', positions, [tokens.length]),
    ...Object.fromEntries([...parameters].map(([name, { dims, data }]) => [name, new Tensor('float32', data, dims)])),
  };
  const outputs = await session.run(
    Object.fromEntries(session.inputNames.map((name) => [name, available[name] as Tensor])),
  );
  await session.release();
  return (outputs[logits] as Tensor).data as Float32Array;
}

describe('the training variant and Hugging Face transformers', () => {
  it('give the same logits at every position of the base', async () => {
    for (const { tokens, logits } of fixture.sequences) {
      expect(largestDifference(await trainingLogits(tokens, zeroAdapter), logits)).toBeLessThan(1e-4);
    }
  });

  it('give the same logits at every position under an adapter on all seven linears', async () => {
    for (const { tokens, logits, adaptedLogits } of fixture.sequences) {
      expect(largestDifference(await trainingLogits(tokens, fixture.parameters), adaptedLogits)).toBeLessThan(1e-4);
      // The adapter changes the logits; otherwise the comparison above would prove nothing.
      expect(largestDifference(logits, adaptedLogits)).toBeGreaterThan(0.1);
    }
  });
});

describe('CoPG and PyTorch', () => {
  it('agree on the log-probability of each completion, of the reference and of the policy', async () => {
    const { rows, referenceLogprobs } = fixture.batch;
    const reference = await engine.logProbabilities(rows, zeroAdapter);
    expect(largestDifference(reference, referenceLogprobs)).toBeLessThan(1e-4);
    const current = await engine.logProbabilities(rows, fixture.parameters);
    expect(largestDifference(current, fixture.expected.logprobs)).toBeLessThan(1e-4);
  });

  it("agree on the paper's loss and on the leave-one-out weight of each completion", async () => {
    const result = await differentiateCopg(engine, fixture.batch, fixture.parameters);
    expect(result.loss).toBeCloseTo(fixture.expected.loss, 4);
    expect(largestDifference(result.weights, fixture.expected.weights)).toBeLessThan(1e-5);
  });

  it('agree on the gradient of the pairwise loss with respect to every adapter matrix', async () => {
    const { gradients } = await differentiateCopg(engine, fixture.batch, fixture.parameters);
    expect([...gradients.keys()].sort()).toEqual([...fixture.expected.gradients.keys()].sort());
    for (const [name, expected] of fixture.expected.gradients) {
      expect(relativeError(gradients.get(name) as Float32Array, expected), name).toBeLessThan(1e-5);
    }
  });

  it('agree on that gradient from a pass with the same weights as constants', async () => {
    const { logprobs, gradients } = await differentiateCopg(engine, fixture.batch, fixture.parameters);
    const constants = weightsOf(copgForm(fixture.batch), logprobs);
    const again = await engine.differentiate(fixture.batch.rows, { constants }, fixture.parameters);
    for (const [name, gradient] of gradients)
      expect(relativeError(again.gradients.get(name) ?? [], gradient), name).toBeLessThan(1e-5);
  });

  it('agree whatever the order of the rows: members are grouped by number, not by position', async () => {
    const order = [7, 2, 5, 0, 3, 6, 1, 4];
    const pick = <T>(values: ArrayLike<T>): T[] => order.map((i) => values[i] as T);
    const { batch, expected } = fixture;
    const { gradients } = await differentiateCopg(
      engine,
      {
        rows: pick(batch.rows),
        groups: pick(batch.groups),
        rewards: pick(batch.rewards),
        values: pick(batch.values),
        referenceLogprobs: pick(batch.referenceLogprobs),
        beta: batch.beta,
      },
      fixture.parameters,
    );
    for (const [name, gradient] of expected.gradients) {
      expect(relativeError(gradients.get(name) as Float32Array, gradient), name).toBeLessThan(1e-5);
    }
  });
});
