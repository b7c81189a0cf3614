import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { OnnxEngine } from '../../../../src/learner/engine/onnx-engine.js';
import {
  type CopgBatch,
  createOnnxEngine,
  differentiateCopg,
  type Parameters,
  type TrainingRow,
} from '../../../../src/learner/index.js';
import { createSession, float32Values, type Tensor as OnnxTensor, readModel } from '../../../../src/onnx/index.js';
import { relativeError } from '../../../oracles/fixture.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const packageDirectory = join(root, 'test/fixtures/tiny');
const vocabulary = 260;
const rank = 4;
const scale = 2;

function createNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('the onnx engine', () => {
  let engine: OnnxEngine;
  let parameters: Parameters;
  let zero: Parameters;
  const next = createNumbers(3);
  const tokens = (length: number): number[] => Array.from({ length }, () => Math.floor(next() * vocabulary));
  const [promptA, promptB] = [tokens(9), tokens(5)];
  const rows: TrainingRow[] = [
    { promptTokens: promptA, completionTokens: tokens(6) },
    { promptTokens: promptA, completionTokens: tokens(3) },
    { promptTokens: promptB, completionTokens: tokens(1) },
    { promptTokens: promptA, completionTokens: tokens(4) },
    { promptTokens: promptB, completionTokens: tokens(7) },
    { promptTokens: promptA, completionTokens: tokens(5) },
  ];

  beforeAll(async () => {
    engine = await createOnnxEngine({ packageDirectory, rank, scale, threads: 1 });
    const matrices = engine.targets.flatMap(({ module, inFeatures, outFeatures }) => [
      [`${module}.lora_A`, [inFeatures, rank]] as const,
      [`${module}.lora_B`, [rank, outFeatures]] as const,
    ]);
    const fill = (value: () => number): Parameters =>
      new Map(
        matrices.map(([name, dims]) => [name, { dims, data: Float32Array.from({ length: dims[0] * dims[1] }, value) }]),
      );
    parameters = fill(() => 0.4 * next() - 0.2);
    zero = fill(() => 0);
  });
  afterAll(() => engine.close());

  const batchOf = (chosen: readonly number[], more: Partial<CopgBatch> = {}): CopgBatch => {
    const members = chosen.map((i) => rows[i] as TrainingRow);
    return {
      rows: members,
      groups: members.map(({ promptTokens }) => (promptTokens === promptA ? 0 : 1)),
      rewards: chosen.map((i) => [0.1, 0.9, 0.4, 0.6, 0.3, 0.2][i] as number),
      referenceLogprobs: chosen.map((i) => [-30, -16, -6, -22, -38, -29][i] as number),
      values: chosen.map(() => 0.5),
      beta: 0.05,
      ...more,
    };
  };

  it('finds all seven linear layers of every block', () => {
    expect(engine.targets).toHaveLength(14);
    expect(engine.targets[0]).toEqual({ module: 'model.layers.0.self_attn.q_proj', inFeatures: 32, outFeatures: 32 });
  });

  it('gives a completion that shares its prompt with others the log-probability that it has alone', async () => {
    const together = await engine.logProbabilities(rows, parameters);
    for (const [i, row] of rows.entries()) {
      const [alone] = await engine.logProbabilities([row], parameters);
      expect(together[i]).toBeCloseTo(alone as number, 3);
    }
  });

  it('takes a group whose completions are together longer than the context of the model', async () => {
    const long = Array.from({ length: 5 }, () => ({ promptTokens: promptA, completionTokens: tokens(110) }));
    const together = await engine.logProbabilities(long, parameters);
    for (const [i, row] of long.entries()) {
      const [alone] = await engine.logProbabilities([row], parameters);
      expect(together[i]).toBeCloseTo(alone as number, 2);
    }
    const batch = batchOf([0, 1, 3, 5]);
    const whole = await differentiateCopg(engine, { ...batch, rows: long.slice(0, 4) }, parameters);
    expect(whole.logprobs).toHaveLength(4);
    expect(whole.gradients.size).toBeGreaterThan(0);
  });

  it('agrees at every position with the package file itself under the zero adapter', async () => {
    const session = await createSession(await readModel(join(packageDirectory, 'onnx/model.onnx')), { threads: 1 });
    const { promptTokens, completionTokens } = rows[0] as TrainingRow;
    const ids = [...Array.from(promptTokens), ...Array.from(completionTokens)];
    const int64 = (values: number[]): Tensor =>
      new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [1, values.length]);
    const past = Object.fromEntries(
      [0, 1].flatMap((layer) =>
        ['key', 'value'].map((kind) => [
          `past_key_values.${layer}.${kind}`,
          new Tensor('float32', new Float32Array(0), [1, 2, 0, 8]),
        ]),
      ),
    );
    const outputs = await session.run({
      input_ids: int64(ids),
      attention_mask: int64(ids.map(() => 1)),
      position_ids: int64([...ids.keys()]),
      ...past,
    });
    const logits = (outputs.logits as Tensor).data as Float32Array;
    let expected = 0;
    for (const [i, token] of Array.from(completionTokens).entries()) {
      const prefix: TrainingRow = { promptTokens, completionTokens: Array.from(completionTokens).slice(0, i + 1) };
      const position = promptTokens.length + i - 1;
      const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
      expected += (row[token] as number) - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const [logprob] = await engine.logProbabilities([prefix], zero);
      expect(Math.abs((logprob as number) - expected)).toBeLessThan(1e-4);
    }
    await session.release();
  });

  it('takes the mean over the tokens if it is opened for that, in values and in gradients', async () => {
    const mean = await createOnnxEngine({ packageDirectory, rank, scale, threads: 1, logProbability: 'mean' });
    onTestFinished(() => mean.close());
    const rows = [
      { promptTokens: promptA, completionTokens: [7, 9, 77] },
      { promptTokens: promptB, completionTokens: [5] },
    ];
    const sums = await engine.logProbabilities(rows, zero);
    const means = await mean.logProbabilities(rows, zero);
    expect(means[0]).toBeCloseTo((sums[0] as number) / 3, 5);
    expect(means[1]).toBeCloseTo(sums[1] as number, 5);
    const { gradients: ofMean } = await mean.differentiate(rows, { constants: [3, 1] }, parameters);
    const { gradients: ofSum } = await engine.differentiate(rows, { constants: [1, 1] }, parameters);
    for (const [name, gradient] of ofSum) {
      expect(relativeError(ofMean.get(name) ?? [], gradient), name).toBeLessThan(1e-5);
    }
  });

  it('gives a prompt features that depend on its own hidden states only', async () => {
    const [a, b] = await engine.promptFeatures([promptA, promptB], zero);
    const [alone] = await engine.promptFeatures([promptB], zero);
    expect(a).toHaveLength(2 * 32);
    expect(b).toEqual(alone);
    // The last hidden state gives the logits of the next token: their log-softmax is the engine's log-probability.
    const { initializers } = await readModel(join(packageDirectory, 'onnx/model.onnx'));
    const embeddings = float32Values(initializers.get('model.embed_tokens.weight') as OnnxTensor);
    const last = (a as Float32Array).subarray(32);
    const logits = Array.from({ length: vocabulary }, (_, v) =>
      last.reduce((sum, value, d) => sum + value * (embeddings[v * 32 + d] as number), 0),
    );
    const normalizer = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const [logprob] = await engine.logProbabilities([{ promptTokens: promptA, completionTokens: [77] }], zero);
    expect((logits[77] as number) - normalizer).toBeCloseTo(logprob as number, 4);
    // For a prompt of one token, the mean is the last state.
    const [single] = await engine.promptFeatures([promptA.slice(0, 1)], zero);
    expect(single?.subarray(0, 32)).toEqual(single?.subarray(32));
  });

  it('weighs each completion by its residual against the mean of its siblings', async () => {
    const batch = batchOf([0, 1, 3, 5]);
    const { weights, logprobs } = await differentiateCopg(engine, batch, parameters);
    const residuals = Array.from(
      logprobs,
      (logprob, i) => (batch.rewards[i] as number) - batch.beta * (logprob - (batch.referenceLogprobs[i] as number)),
    );
    const mean = residuals.reduce((a, b) => a + b, 0) / residuals.length;
    for (const [i, residual] of residuals.entries()) expect(weights[i]).toBeCloseTo(((residual - mean) * 4) / 3, 4);
  });

  it('weighs a completion without siblings by its residual against V(x)', async () => {
    const { weights, logprobs } = await differentiateCopg(engine, batchOf([2]), parameters);
    expect(weights[0]).toBeCloseTo(0.4 - 0.05 * ((logprobs[0] as number) + 6) - 0.5, 4);
  });

  it('has a gradient for a group that is the mean of the gradients of all its pairs', async () => {
    const group = (await differentiateCopg(engine, batchOf([0, 1, 3, 5]), parameters)).gradients;
    const pairs = [
      [0, 1],
      [0, 3],
      [0, 5],
      [1, 3],
      [1, 5],
      [3, 5],
    ];
    const sums = new Map<string, Float64Array>();
    for (const pair of pairs) {
      for (const [name, gradient] of (await differentiateCopg(engine, batchOf(pair), parameters)).gradients) {
        const sum = sums.get(name) ?? new Float64Array(gradient.length);
        for (const [k, g] of gradient.entries()) sum[k] = (sum[k] as number) + g / pairs.length;
        sums.set(name, sum);
      }
    }
    for (const [name, gradient] of group) {
      expect(relativeError(gradient, sums.get(name) ?? []), name).toBeLessThan(1e-5);
    }
  });

  it('averages prompts, so that a prompt with many completions does not outweigh the others', async () => {
    const both = (await differentiateCopg(engine, batchOf([0, 1, 3, 5, 2, 4]), parameters)).gradients;
    const a = (await differentiateCopg(engine, batchOf([0, 1, 3, 5]), parameters)).gradients;
    const b = (await differentiateCopg(engine, batchOf([2, 4]), parameters)).gradients;
    for (const [name, gradient] of both) {
      const other = b.get(name) as Float32Array;
      const mean = (a.get(name) as Float32Array).map((g, k) => (g + (other[k] as number)) / 2);
      expect(relativeError(gradient, mean), name).toBeLessThan(1e-5);
    }
  });

  it('has the gradient that finite differences of the log-probabilities give with the weights held', async () => {
    const batch = batchOf([0, 1, 2, 3, 4, 5]);
    const { weights, gradients } = await differentiateCopg(engine, batch, parameters);
    const sizes = [4, 4, 2, 4, 2, 4];
    const surrogate = async (): Promise<number> => {
      const logprobs = await engine.logProbabilities(batch.rows, parameters);
      return -logprobs.reduce(
        (sum, logprob, i) => sum + ((weights[i] as number) * logprob) / ((sizes[i] as number) * 2),
        0,
      );
    };
    for (const [name, { data }] of parameters) {
      const gradient = gradients.get(name) as Float32Array;
      const norm = Math.hypot(...gradient);
      const center = data.slice();
      // A step along the gradient itself: the slope is its norm, as for no other vector of that norm.
      const at = (step: number): Promise<number> => {
        for (const [k, g] of gradient.entries()) data[k] = (center[k] as number) + (step * g) / norm;
        return surrogate();
      };
      const slope = ((await at(0.02)) - (await at(-0.02))) / 0.04;
      data.set(center);
      expect(Math.abs(slope - norm) / norm, name).toBeLessThan(5e-3);
    }
  });
});
