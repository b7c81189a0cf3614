/** Runs training steps in a process of its own, so that memory figures are the learner's alone. */

import { readFileSync } from 'node:fs';
import {
  AdamW,
  type CopgBatch,
  createOnnxEngine,
  type Provider,
  type TrainingRow,
  warmUp,
} from '../../src/learner/index.js';
import { median } from './statistics.js';

export interface TrainingTask {
  readonly packageDirectory: string;
  readonly vocabularySize: number;
  readonly rank: number;
  readonly threads: number;
  /** Execution provider of onnxruntime. Default cpu. */
  readonly device?: Provider;
  readonly rows: number;
  readonly promptLength: number;
  readonly completionLength: number;
  /** Completions that share a prompt; 1 leaves every row alone. */
  readonly groupSize: number;
  readonly steps: number;
}

export interface TrainingFigures {
  /** Reading the model and deriving its backward pass. */
  readonly prepareMs: number;
  /** Median of the steps, the first left out: loss, gradients and AdamW. */
  readonly stepMs: number;
  readonly peakRssMb: number;
  /** Private memory after the last step, where the system tells (Linux): mapped weights are shared with the server. */
  readonly privateRssMb: number | null;
}

function batchOf(task: TrainingTask): CopgBatch {
  const { rows, promptLength, completionLength, groupSize, vocabularySize } = task;
  const token = (i: number): number => (i * 7919 + 13) % Math.min(vocabularySize, 256);
  const tokens = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => token(seed * 613 + i));
  const trainingRows = Array.from({ length: rows }, (_, i): TrainingRow => {
    const group = Math.floor(i / groupSize);
    return { promptTokens: tokens(group, promptLength), completionTokens: tokens(1000 + i, completionLength) };
  });
  return {
    rows: trainingRows,
    groups: trainingRows.map((_, i) => Math.floor(i / groupSize)),
    rewards: trainingRows.map((_, i) => (i % 4) / 4),
    values: new Array<number>(rows).fill(0.5),
    referenceLogprobs: new Array<number>(rows).fill(-completionLength * Math.log(vocabularySize)),
    beta: 0.05,
  };
}

/** A status line of Linux in MB, or null. */
function statusMb(field: string): number | null {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
    return line ? Number(line[1]) / 1024 : null;
  } catch {
    return null;
  }
}

async function train(task: TrainingTask): Promise<TrainingFigures> {
  const started = performance.now();
  const { packageDirectory, rank, threads, device = 'cpu' } = task;
  const engine = await createOnnxEngine({ packageDirectory, rank, scale: 2, threads, provider: device });
  const prepareMs = performance.now() - started;
  const optimizer = new AdamW({ learningRate: warmUp(1e-3, 8), beta1: 0.9, beta2: 0.99, clipNorm: 1 });
  const parameters = new Map(
    engine.targets.flatMap(({ module, inFeatures, outFeatures }) => [
      [`${module}.lora_A`, matrix(inFeatures, rank, 0.02)] as const,
      [`${module}.lora_B`, matrix(rank, outFeatures, 0.02)] as const,
    ]),
  );
  const batch = batchOf(task);
  const times: number[] = [];
  for (let step = 0; step <= task.steps; step++) {
    const stepStarted = performance.now();
    const { gradients } = await engine.copg(batch, parameters);
    if (!optimizer.step(parameters, gradients).applied) throw new Error('a gradient is not finite');
    if (step > 0) times.push(performance.now() - stepStarted);
  }
  const figures = {
    prepareMs,
    stepMs: median(times),
    peakRssMb: process.resourceUsage().maxRSS / 1024,
    privateRssMb: statusMb('RssAnon'),
  };
  await engine.close();
  return figures;
}

function matrix(rows: number, columns: number, scale: number): { dims: [number, number]; data: Float32Array } {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => scale * Math.sin(i * 12.9898 + rows));
  return { dims: [rows, columns], data };
}

process.once('message', (task: TrainingTask) => {
  train(task).then(
    (figures) => process.send?.({ figures }, () => process.exit(0)),
    (error: unknown) =>
      process.send?.({ failure: error instanceof Error ? error.stack : String(error) }, () => process.exit(1)),
  );
});
