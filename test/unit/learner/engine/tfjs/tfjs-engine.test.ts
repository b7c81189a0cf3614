/** Compares the tfjs engine with the onnx engine and PyTorch, and checks that it frees its tensors. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxEngine } from '../../../../../src/learner/engine/onnx-engine.js';
import { createTfjsEngine, type TfjsEngine } from '../../../../../src/learner/engine/tfjs/tfjs-engine.js';
import { createOnnxEngine, differentiateCopg, type Parameters } from '../../../../../src/learner/index.js';
import { readOracleFixture, relativeError, tinyPackage } from '../../../../oracles/fixture.js';
import { quantizeForTest } from '../../../../support/quantized.js';
import { openTestTfjs, testTfjsOptions } from '../../../../support/tfjs.js';

const { batch, parameters, adapter, expected } = readOracleFixture();
const { rank, scale } = adapter;
const { tf } = await openTestTfjs();

function expectSame(actual: ReadonlyMap<string, Float32Array>, wanted: ReadonlyMap<string, Float32Array>): void {
  expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [name, gradient] of wanted) {
    expect(Math.hypot(...gradient), name).toBeGreaterThan(0);
    expect(relativeError(actual.get(name) as Float32Array, gradient), name).toBeLessThan(1e-5);
  }
}

describe('the tfjs engine', () => {
  let engine: TfjsEngine;
  let onnx: OnnxEngine;
  beforeAll(async () => {
    engine = await createTfjsEngine({ ...testTfjsOptions, packageDirectory: tinyPackage, rank, scale });
    onnx = await createOnnxEngine({ packageDirectory: tinyPackage, rank, scale, threads: 1 });
  });
  afterAll(async () => {
    await engine?.close();
    await onnx?.close();
  });

  it('trains the same layers as the onnx engine', () => {
    expect(engine.targets).toEqual(onnx.targets);
  });

  it('gives the log-probabilities of the onnx engine', async () => {
    const wanted = await onnx.logProbabilities(batch.rows, parameters);
    expect(relativeError(await engine.logProbabilities(batch.rows, parameters), wanted)).toBeLessThan(1e-5);
  });

  it('gives loss, weights and gradients of CoPG as the onnx engine and PyTorch do', async () => {
    const result = await differentiateCopg(engine, batch, parameters);
    const other = await differentiateCopg(onnx, batch, parameters);
    expect(result.loss).toBeCloseTo(other.loss, 4);
    expect(result.surrogate).toBeCloseTo(other.surrogate, 4);
    expect(relativeError(result.logprobs, other.logprobs)).toBeLessThan(1e-5);
    expect(relativeError(result.weights, other.weights)).toBeLessThan(1e-5);
    expectSame(result.gradients, other.gradients);
    expect(Math.abs(result.loss - expected.loss) / expected.loss).toBeLessThan(1e-5);
    expectSame(result.gradients, expected.gradients);
  });

  it('gives the gradient for constant weights as the onnx engine does', async () => {
    const weights = batch.rows.map((_, i) => Math.cos(3 * i));
    const known = { constants: weights };
    const result = await engine.differentiate(batch.rows, known, parameters);
    expectSame(result.gradients, (await onnx.differentiate(batch.rows, known, parameters)).gradients);
    expect(relativeError(result.logprobs, await onnx.logProbabilities(batch.rows, parameters))).toBeLessThan(1e-5);
  });

  it('gives the features of prompts as the onnx engine does', async () => {
    const prompts = batch.rows.slice(0, 3).map(({ promptTokens }) => promptTokens);
    const wanted = await onnx.promptFeatures(prompts, parameters);
    const features = await engine.promptFeatures(prompts, parameters);
    expect(features).toHaveLength(3);
    for (const [i, values] of features.entries()) {
      expect(relativeError(values, wanted[i] as Float32Array)).toBeLessThan(1e-5);
    }
  });

  it('takes a group whose completions are together longer than the context of the model', async () => {
    const promptTokens = Array.from({ length: 9 }, (_, i) => (i * 613) % 256);
    const rows = [1, 2, 3].map((k) => ({
      promptTokens,
      completionTokens: Array.from({ length: 60 }, (_, i) => (i * 7919 + k * 31) % 256),
    }));
    const wanted = await onnx.logProbabilities(rows, parameters);
    expect(relativeError(await engine.logProbabilities(rows, parameters), wanted)).toBeLessThan(1e-5);
  });

  it('reads the parameters again at every call', async () => {
    const moving: Parameters = new Map(
      [...parameters].map(([name, { dims, data }]) => [name, { dims, data: data.slice() }]),
    );
    const before = await engine.logProbabilities(batch.rows, moving);
    for (const { data } of moving.values()) for (const k of data.keys()) data[k] = 2 * (data[k] as number);
    const after = await engine.logProbabilities(batch.rows, moving);
    expect(relativeError(after, before)).toBeGreaterThan(1e-4);
    expect(relativeError(after, await onnx.logProbabilities(batch.rows, moving))).toBeLessThan(1e-5);
  });

  it('leaves no tensor behind after any of its calls', async () => {
    const { numTensors } = tf.memory();
    const work = [
      () => differentiateCopg(engine, batch, parameters),
      () => engine.differentiate(batch.rows, { constants: batch.rewards }, parameters),
      () => engine.logProbabilities(batch.rows, parameters),
      () =>
        engine.promptFeatures(
          batch.rows.slice(0, 1).map(({ promptTokens }) => promptTokens),
          parameters,
        ),
    ];
    for (const step of [...work, ...work]) {
      await step();
      expect(tf.memory().numTensors).toBe(numTensors);
    }
  });

  it('frees its weights when it is closed', async () => {
    const { numTensors } = tf.memory();
    const another = await createTfjsEngine({ ...testTfjsOptions, packageDirectory: tinyPackage, rank, scale });
    expect(tf.memory().numTensors).toBeGreaterThan(numTensors);
    await another.close();
    await another.close();
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it('gives the gradients of the onnx engine through quantised weights in a file beside the model', async () => {
    const folders = await quantizeForTest(tinyPackage, { bits: 8, blockSize: 32 });
    const options = { packageDirectory: folders.quantized, rank, scale };
    const quantized = await createTfjsEngine({ ...testTfjsOptions, ...options });
    const oracle = await createOnnxEngine({ ...options, threads: 1 });
    expectSame(
      (await differentiateCopg(quantized, batch, parameters)).gradients,
      (await differentiateCopg(oracle, batch, parameters)).gradients,
    );
    await quantized.close();
    await oracle.close();
  });
});
