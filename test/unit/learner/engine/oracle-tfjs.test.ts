/** Compares whole-model gradients of `src/autodiff` with TF.js's autodiff of the same forward graph. */

import { join } from 'node:path';
import type { Tensor as TfjsTensor } from '@tensorflow/tfjs';
import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { weightShapes } from '../../../../models/recipe/decoder.js';
import { appendGradients, expandComposites } from '../../../../src/autodiff/index.js';
import {
  addCrossEntropy,
  addLinearForm,
  crossEntropy,
  linearFormFeeds,
  surrogate,
} from '../../../../src/learner/engine/losses.js';
import { packRows } from '../../../../src/learner/engine/packing.js';
import { createInterpreter } from '../../../../src/learner/engine/tfjs/interpreter.js';
import { toTrainingGraph } from '../../../../src/learner/engine/training-graph.js';
import { copgForm } from '../../../../src/learner/objective.js';
import { createSession, type Graph, probeShapes, readModel } from '../../../../src/onnx/index.js';
import { attachAdapters, findLinears } from '../../../../src/package/index.js';
import { readOracleFixture, relativeError, tinyPackage } from '../../../oracles/fixture.js';
import { openTestTfjs } from '../../../support/tfjs.js';

const fixture = readOracleFixture();
const { tf } = await openTestTfjs();
const probeSizes = { B: [2, 3], T: [5, 7], N: [4, 6], R: [2, 3] } as const;

const trainingGraph = async (): Promise<Graph> =>
  toTrainingGraph(await readModel(join(tinyPackage, 'onnx/model.onnx')));

function toTfjs(feeds: Readonly<Record<string, Tensor>>): Map<string, TfjsTensor> {
  return new Map(
    Object.entries(feeds).map(([name, { data, dims }]) => [
      name,
      data instanceof BigInt64Array
        ? tf.tensor(Int32Array.from(data, Number), [...dims], 'int32')
        : tf.tensor(data as Float32Array, [...dims], 'float32'),
    ]),
  );
}

/** Gradients by Hone's reverse pass, run by onnxruntime. */
async function honeGradients(
  forward: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  loss: string,
  wrt: readonly string[],
): Promise<Map<string, Float32Array>> {
  const graph = forward.clone();
  const shapes = await probeShapes(expandComposites(graph), probeSizes);
  const gradients = appendGradients(graph, loss, wrt, shapes);
  graph.outputs.clear();
  for (const name of gradients.values()) graph.outputs.set(name, null);
  graph.prune();
  const session = await createSession(expandComposites(graph), { threads: 1 });
  const outputs = await session.run(
    Object.fromEntries(session.inputNames.map((name) => [name, feeds[name] as Tensor])),
  );
  await session.release();
  return new Map([...gradients].map(([name, output]) => [name, (outputs[output] as Tensor).data as Float32Array]));
}

async function expectSameGradients(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  loss: string,
  wrt: readonly string[],
): Promise<void> {
  graph.outputs.clear();
  graph.outputs.set(loss, null);
  graph.prune();
  const mine = await honeGradients(graph, feeds, loss, wrt);
  const interpreter = await createInterpreter(tf, graph);
  const { gradients } = interpreter.gradients(toTfjs(feeds), loss, wrt);
  for (const [i, name] of wrt.entries()) {
    const expected = (gradients[i] as TfjsTensor).dataSync() as Float32Array;
    expect(
      expected.some((value) => value !== 0),
      name,
    ).toBe(true);
    expect(relativeError(mine.get(name) as Float32Array, expected), name).toBeLessThan(1e-5);
  }
}

const vector = (values: ArrayLike<number>): Tensor => new Tensor('float32', Float32Array.from(values), [values.length]);

describe('whole-model gradients and TF.js autodiff', () => {
  it('agree for CoPG with respect to every adapter matrix', async () => {
    const { batch, adapter, parameters } = fixture;
    const graph = await trainingGraph();
    attachAdapters(graph, findLinears(graph), adapter.rank, adapter.scale);
    addLinearForm(graph);
    const feeds: Record<string, Tensor> = {
      ...packRows(batch.rows).feeds,
      ...Object.fromEntries([...parameters].map(([name, { dims, data }]) => [name, new Tensor('float32', data, dims)])),
      ...linearFormFeeds(copgForm(batch)),
    };
    await expectSameGradients(graph, feeds, surrogate, [...parameters.keys()]);
  });

  it('agree for cross-entropy with respect to every weight of the decoder', async () => {
    const graph = await trainingGraph();
    addCrossEntropy(graph);
    const { feeds } = packRows(fixture.batch.rows);
    const tokens = (feeds.target_ids as Tensor).dims[0] as number;
    const weights = Float32Array.from({ length: tokens }, (_, i) => (1 + (i % 3)) / tokens);
    const names = [
      ...weightShapes({
        layers: 2,
        hiddenSize: 32,
        heads: 4,
        kvHeads: 2,
        headSize: 8,
        ffnSize: 48,
        vocabularySize: 260,
        contextLength: 128,
        ropeTheta: 10_000,
        rmsNormEpsilon: 1e-5,
      }).keys(),
    ];
    await expectSameGradients(graph, { ...feeds, token_weights: vector(weights) }, crossEntropy, names);
  });
});
