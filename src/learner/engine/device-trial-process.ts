/**
 * Entry point of a device trial: a child of the learner process that opens the training engine on a provider, compares
 * its gradients with the cpu's and times a step. If the provider crashes, only this process ends.
 */

import { HoneError } from '../../errors.js';
import { Graph } from '../../onnx/index.js';
import { loadPackage } from '../../package/index.js';
import { type CopgBatch, differentiateCopg } from '../objective.js';
import { createRandom } from '../random.js';
import type { Parameters, TrainingEngine, TrainingRow } from '../types.js';
import { openOnProvider } from './device.js';
import { type DeviceFigures, type DeviceTrial, type TrialReply, worstDifference } from './device-trial.js';
import { createOnnxEngine, type OnnxEngine } from './onnx-engine.js';

/** Number of timed steps; the fastest counts. One more step runs before them, to compile shaders and fill caches. */
const timedSteps = 3;

process.once('disconnect', () => process.exit(1));
process.once('message', (trial: DeviceTrial) => {
  run(trial).then(
    (figures) => answer({ figures }),
    (thrown: unknown) => answer({ failure: HoneError.from(thrown).toJSON() }),
  );
});

function answer(reply: TrialReply): void {
  process.send?.(reply, () => process.exit(0));
}

async function run({ packageDirectory, settings, provider, measure }: DeviceTrial): Promise<DeviceFigures> {
  // A tiny graph opens in milliseconds or fails; deriving the backward pass first would take a second.
  await (await openOnProvider(smallestGraph(), provider, 1)).release();
  const { vocabularySize, contextLength } = (await loadPackage(packageDirectory)).config;
  const numbers = createRandom(settings.seed);
  const batch = (prompts: number, members: number, length: number): CopgBatch =>
    createBatch(numbers, { prompts, members, length: Math.min(length, Math.floor(contextLength / 2)), vocabularySize });
  const small = batch(2, 2, 6);
  const large = batch(8, 1, 64);
  const engineOn = (device: typeof provider): Promise<OnnxEngine> =>
    createOnnxEngine({ packageDirectory, ...settings, provider: device });

  const tried = await engineOn(provider);
  const parameters = createParameters(numbers, tried, settings.rank);
  const actual = provider === 'cpu' ? undefined : await everything(tried, small, parameters);
  const stepMs = measure ? await fastestStep(tried, large, parameters) : null;
  await tried.close();
  if (actual === undefined) return { difference: 0, stepMs };
  const cpu = await engineOn('cpu');
  const expected = await everything(cpu, small, parameters);
  await cpu.close();
  return { difference: worstDifference(actual, expected), stepMs };
}

/** Gradients of the objective, and the log-probabilities of both graphs, by name. */
async function everything(
  engine: TrainingEngine,
  batch: CopgBatch,
  parameters: Parameters,
): Promise<Map<string, Float32Array>> {
  const { gradients, logprobs } = await differentiateCopg(engine, batch, parameters);
  const alone = await engine.logProbabilities(batch.rows, parameters);
  return new Map([...gradients, ['log-probabilities of the objective', logprobs], ['log-probabilities', alone]]);
}

async function fastestStep(engine: TrainingEngine, batch: CopgBatch, parameters: Parameters): Promise<number> {
  let fastest = Number.POSITIVE_INFINITY;
  for (let step = 0; step <= timedSteps; step++) {
    const startedAtMs = performance.now();
    await differentiateCopg(engine, batch, parameters);
    if (step > 0) fastest = Math.min(fastest, performance.now() - startedAtMs);
  }
  return fastest;
}

function smallestGraph(): Graph {
  const graph = new Graph();
  graph.inputs.set('x', { type: 'float32', dims: [1] });
  graph.outputs.set(graph.add('Neg', ['x']), null);
  return graph;
}

interface BatchSize {
  readonly prompts: number;
  readonly members: number;
  /** Tokens of a prompt; completions have as many at most. */
  readonly length: number;
  readonly vocabularySize: number;
}

function createBatch(next: () => number, { prompts, members, length, vocabularySize }: BatchSize): CopgBatch {
  const tokens = (count: number): number[] =>
    Array.from({ length: Math.max(1, count) }, () => Math.floor(next() * vocabularySize));
  const groups = Array.from({ length: prompts * members }, (_, i) => Math.floor(i / members));
  const promptTokens = Array.from({ length: prompts }, () => tokens(length));
  const rows = groups.map(
    (group, i): TrainingRow => ({
      promptTokens: promptTokens[group] as number[],
      // Completions of different lengths leave padding.
      completionTokens: tokens(members === 1 ? length : length - (i % 4)),
    }),
  );
  return {
    rows,
    groups,
    rewards: groups.map(next),
    referenceLogprobs: rows.map(({ completionTokens }) => -completionTokens.length * Math.log(vocabularySize)),
    values: groups.map(() => 0.5),
    beta: 0.05,
  };
}

/** Random values in both matrices of each adapter, so that each has a gradient. */
function createParameters(next: () => number, { targets }: OnnxEngine, rank: number): Parameters {
  const matrix = (dims: readonly [number, number]) => ({
    dims,
    data: Float32Array.from({ length: dims[0] * dims[1] }, () => 0.1 * (next() - 0.5)),
  });
  return new Map(
    targets.flatMap(({ module, inFeatures, outFeatures }) => [
      [`${module}.lora_A`, matrix([inFeatures, rank])] as const,
      [`${module}.lora_B`, matrix([rank, outFeatures])] as const,
    ]),
  );
}
