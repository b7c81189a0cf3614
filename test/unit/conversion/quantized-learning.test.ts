/** Checkpoints converted to fewer bits can be learned from: three steps on one completion make it likelier. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { convertCheckpoint } from '../../../src/conversion/index.js';
import { checkTrainable } from '../../../src/learner/engine/check-trainable.js';
import { createOnnxEngine } from '../../../src/learner/index.js';
import type { Parameters } from '../../../src/learner/types.js';
import { readDecoder } from '../../../src/package/index.js';
import type { AdapterTarget } from '../../../src/versions/index.js';
import { type CheckpointCase, checkpoints, madeValues, writeCheckpoint } from '../../oracles/checkpoints.js';
import { temporaryFolder } from '../../support/folders.js';

const rank = 2;
const row = { promptTokens: checkpoints.ids.slice(0, 6), completionTokens: checkpoints.ids.slice(6) };

it.each([
  ['gpt2', 8],
  ['gpt2', 4],
  ['gemma2', 4],
  ['granite', 4],
  ['phi3', 4],
  ['falcon', 8],
] as const)('three steps on %s in %d bits make a completion likelier', async (name, bits) => {
  const folder = temporaryFolder();
  const target = join(folder, 'package');
  await writeCheckpoint(join(folder, 'checkpoint'), checkpoints.cases[name] as CheckpointCase);
  await convertCheckpoint({ directory: join(folder, 'checkpoint'), target, bits });
  const modelPath = join(target, 'onnx', 'model.onnx');
  const graph = await readDecoder(modelPath);
  expect(graph.nodes.map(({ op }) => op)).toContain('MatMulNBits');
  for (const engine of ['onnx', 'tfjs'] as const) await checkTrainable(graph, modelPath, { engine });

  const engine = await createOnnxEngine({ packageDirectory: target, rank, scale: 1, threads: 1 });
  onTestFinished(() => engine.close());
  const parameters = untrained(engine.targets);
  const logprobs: number[] = [];
  for (let step = 0; step <= 3; step++) {
    const { logprobs: now, gradients } = await engine.differentiate([row], { constants: [1] }, parameters);
    logprobs.push(now[0] as number);
    descend(parameters, gradients);
  }
  expect(logprobs).toEqual(logprobs.toSorted((a, b) => a - b));
  expect((logprobs[3] as number) - (logprobs[0] as number)).toBeGreaterThan(0.1);
});

/** Adapters as PEFT begins: A has values and B is zero. */
function untrained(targets: readonly AdapterTarget[]): Parameters {
  const parameters: Parameters = new Map();
  for (const { module, inFeatures, outFeatures } of targets) {
    parameters.set(`${module}.lora_A`, { dims: [inFeatures, rank], data: madeValues(module, inFeatures * rank) });
    parameters.set(`${module}.lora_B`, { dims: [rank, outFeatures], data: new Float32Array(rank * outFeatures) });
  }
  return parameters;
}

/** A step of a fixed length along the gradient of all matrices together. */
function descend(parameters: Parameters, gradients: ReadonlyMap<string, Float32Array>): void {
  const squares = [...gradients.values()].map((gradient) => gradient.reduce((sum, value) => sum + value * value, 0));
  const factor = 0.05 / Math.sqrt(squares.reduce((sum, value) => sum + value, 0));
  for (const [name, { data }] of parameters) {
    const gradient = gradients.get(name) as Float32Array;
    for (const [i, value] of gradient.entries()) data[i] = (data[i] as number) - factor * value;
  }
}
