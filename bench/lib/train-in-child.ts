/** Learners in processes of their own: ours, and PyTorch's. */

import { fileURLToPath } from 'node:url';
import { startChild } from './child-process.js';
import { median } from './statistics.js';
import type { TrainingTask } from './training-batch.js';

export interface TrainingStep {
  /** Loss, gradients and AdamW. */
  readonly ms: number;
  /** Resident peak of the process so far. */
  readonly peakRssMb: number;
  /** Private memory after the step, where the system tells (Linux): mapped weights are shared with the server. */
  readonly privateRssMb?: number | null;
  /** Proportional set size after the step, where the system tells (Linux): weights count once, however often they are mapped. */
  readonly pssMb?: number | null;
}

export interface Learner {
  readonly about: string;
  /** Reading the model and deriving its backward pass. */
  readonly prepareMs: number;
  /** The paper's loss and the norm of all gradients, before any update. */
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
  /** Median of the steps, the first left out. */
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
