/** Runs a learner in a child process; the interface that it shares with the PyTorch peer. */

import { fileURLToPath } from 'node:url';
import { startChild } from './child-process.js';
import { median } from './statistics.js';
import type { TrainingTask } from './training-batch.js';

export interface TrainingStep {
  /** Time of loss, gradients and AdamW. */
  readonly ms: number;
  /** Largest resident set of the process so far. */
  readonly peakRssMb: number;
  /** Private memory after the step, if the system reports it (Linux): mapped weights are shared with the server. */
  readonly privateRssMb?: number | null;
  /**
   * Proportional set size after the step, if the system reports it (Linux): weights count once, however often mapped.
   */
  readonly pssMb?: number | null;
}

export interface Learner {
  readonly about: string;
  /** Time to read the model and derive its backward pass. */
  readonly prepareMs: number;
  /** The loss (equation 7 of src/learner/README.md) and the norm of all gradients, before any update. */
  check(): Promise<{ readonly loss: number; readonly norm: number }>;
  step(): Promise<TrainingStep>;
  close(): Promise<void>;
}

/** @throws Error if the process fails or ends without an answer */
export async function openLearner(task: TrainingTask): Promise<Learner> {
  const child = startChild(fileURLToPath(new URL('./training-child.js', import.meta.url)));
  try {
    const { prepareMs } = await child.ask<{ readonly prepareMs: number }>({ type: 'open', task });
    return {
      about: task.tfjs === undefined ? 'onnx' : `tfjs, ${task.tfjs.backend}`,
      prepareMs,
      check: () => child.ask({ type: 'check' }),
      step: () => child.ask({ type: 'step' }),
      close: () => child.close(),
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}

interface TrainingFigures {
  readonly prepareMs: number;
  /** Median of the steps without the first. */
  readonly stepMs: number;
  readonly peakRssMb: number;
  readonly privateRssMb: number | null;
  readonly pssMb: number | null;
}

/** Opens a learner, takes the task's steps and closes it. @throws as {@link openLearner} */
export async function trainInChild(task: TrainingTask): Promise<TrainingFigures> {
  const learner = await openLearner(task);
  try {
    await learner.step();
    const steps: TrainingStep[] = [];
    for (let i = 0; i < task.steps; i++) steps.push(await learner.step());
    const last = steps.at(-1);
    return {
      prepareMs: learner.prepareMs,
      stepMs: median(steps.map(({ ms }) => ms)),
      peakRssMb: last?.peakRssMb ?? 0,
      privateRssMb: last?.privateRssMb ?? null,
      pssMb: last?.pssMb ?? null,
    };
  } finally {
    await learner.close();
  }
}
