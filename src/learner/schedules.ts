/** The learning rate and beta as functions of the number of optimizer steps, and of nothing else. */

import type { LearnerSettings } from './types.js';

type ScheduleSettings = Pick<
  LearnerSettings,
  'learningRate' | 'warmupSteps' | 'learningRateSchedule' | 'decaySteps' | 'beta' | 'betaInitial' | 'betaSteps'
>;

/**
 * The end of a decaying learning rate, as a share of the full one. It is not 0, because an online learner never stops.
 */
const learningRateFloor = 0.1;

/** A learning rate that rises linearly to `rate` over the first `steps` steps and stays there. */
export function warmUp(rate: number, steps: number): (step: number) => number {
  return (step) => rate * Math.min(1, (step + 1) / Math.max(1, steps));
}

/** The learning rate at a step (the first is 0): the warm-up, then the schedule over `decaySteps` down to a tenth. */
export function learningRates(settings: ScheduleSettings): (step: number) => number {
  const { learningRate, warmupSteps, learningRateSchedule, decaySteps } = settings;
  const rising = warmUp(learningRate, warmupSteps);
  return (step) => {
    const progress = Math.min(1, Math.max(0, step - warmupSteps) / decaySteps);
    return rising(step) * (learningRateFloor + (1 - learningRateFloor) * shares[learningRateSchedule](progress));
  };
}

/** The remaining share of the way to the floor, from 1 to 0. */
const shares: Readonly<Record<LearnerSettings['learningRateSchedule'], (progress: number) => number>> = {
  constant: () => 1,
  linear: (progress) => 1 - progress,
  cosine: (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
};

/**
 * beta at a step: geometric from `betaInitial` to `beta` over `betaSteps` steps, so each halving takes equally long.
 */
export function betaAt({ beta, betaInitial, betaSteps }: ScheduleSettings, step: number): number {
  if (step >= betaSteps) return beta;
  return betaInitial * (beta / betaInitial) ** (step / betaSteps);
}
