/**
 * A learner in a child process, so that memory figures are the learner's only. It answers one message at a time:
 *
 *     {type: 'open', task}  -> {type: 'opened', prepareMs}
 *     {type: 'check'}       -> {type: 'checked', loss, norm}                      before any update
 *     {type: 'step'}        -> {type: 'stepped', ms, peakRssMb, privateRssMb, pssMb}
 *     anything that fails   -> {type: 'failed', message}
 */

import { readFileSync } from 'node:fs';
import {
  AdamW,
  checkLearnerSettings,
  createTfjsEngine,
  differentiateCopg,
  openEngine,
  type Parameters,
  type TrainingEngine,
  warmUp,
} from '../../src/learner/index.js';
import { measureProcessTree } from './process-memory.js';
import { batchOf, type TrainingTask } from './training-batch.js';

type TrainingMessage =
  | { readonly type: 'open'; readonly task: TrainingTask }
  | { readonly type: 'check' }
  | { readonly type: 'step' };

/** A status line of Linux in MB, or null. */
function statusMb(field: string): number | null {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
    return line ? Number(line[1]) / 1024 : null;
  } catch {
    return null;
  }
}

class Learner {
  readonly #engine: TrainingEngine;
  readonly #parameters: Parameters;
  readonly #batch: ReturnType<typeof batchOf>;
  readonly #optimizer = new AdamW({ learningRate: warmUp(1e-3, 8), beta1: 0.9, beta2: 0.99, clipNorm: 1 });

  constructor(engine: TrainingEngine, task: TrainingTask) {
    this.#engine = engine;
    this.#batch = batchOf(task);
    this.#parameters = new Map(
      engine.targets.flatMap(({ module, inFeatures, outFeatures }) => [
        [`${module}.lora_A`, matrix(inFeatures, task.rank, 0.02)] as const,
        [`${module}.lora_B`, matrix(task.rank, outFeatures, 0.02)] as const,
      ]),
    );
  }

  async check(): Promise<object> {
    const { loss, gradients } = await differentiateCopg(this.#engine, this.#batch, this.#parameters);
    let squares = 0;
    for (const gradient of gradients.values()) for (const value of gradient) squares += value * value;
    return { type: 'checked', loss, norm: Math.sqrt(squares) };
  }

  async step(): Promise<object> {
    const started = performance.now();
    const { gradients } = await differentiateCopg(this.#engine, this.#batch, this.#parameters);
    if (!this.#optimizer.step(this.#parameters, gradients).applied) throw new Error('a gradient is not finite');
    return {
      type: 'stepped',
      ms: performance.now() - started,
      peakRssMb: process.resourceUsage().maxRSS / 1024,
      privateRssMb: statusMb('RssAnon'),
      pssMb: measureProcessTree(process.pid)?.pssMb ?? null,
    };
  }
}

/** The values of the adapter at the start: `peers/pytorch_learn.py` computes the same. */
function matrix(rows: number, columns: number, scale: number): { dims: [number, number]; data: Float32Array } {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => scale * Math.sin(i * 12.9898 + rows));
  return { dims: [rows, columns], data };
}

let learner: Learner | undefined;

async function answer(message: TrainingMessage): Promise<object> {
  if (message.type !== 'open') return message.type === 'check' ? (learner?.check() ?? {}) : (learner?.step() ?? {});
  const { task } = message;
  const started = performance.now();
  const { packageDirectory, rank, threads, device } = task;
  const engine =
    task.tfjs !== undefined
      ? await createTfjsEngine({ packageDirectory, rank, scale: 2, threads, ...task.tfjs })
      : await openEngine({
          packageDirectory,
          settings: checkLearnerSettings({ rank, scale: 2, threads, device, memoryBytes: task.memoryBytes ?? null }),
        });
  learner = new Learner(engine, task);
  return { type: 'opened', prepareMs: performance.now() - started };
}

process.on('message', (message: TrainingMessage) => {
  answer(message).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
