/** Chooses the policy's threads as the flags leave it open, and logs what was chosen and why. */

import type { Logger } from 'pino';
import { checkLearnerSettings } from '../../src/learner/settings.js';
import type { Package } from '../../src/package/index.js';
import { chooseThreads, type ThreadChoice } from '../../src/policy/index.js';
import type { ServerOptions } from '../options.js';

/**
 * Measures beside the learner at its busiest, where there is one.
 * @param path where the choice is kept
 * @param calm resolves when this process computes nothing; waited for where it comes to a measurement
 * @param signal ends the measurement
 * @throws HoneError `INVALID_OPTIONS` for settings of the learner that are not valid
 */
export async function chooseServingThreads(
  pkg: Package,
  path: string,
  cores: number,
  { learner, learnerSettings, threads, spin }: ServerOptions,
  log: Logger,
  calm: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<ThreadChoice> {
  const learnerThreads = checkLearnerSettings({ threads: Math.max(1, cores - 1), ...learnerSettings }).threads;
  const neighbourThreads = learner ? learnerThreads : 0;
  const choice = await chooseThreads({ pkg, cores, neighbourThreads, threads, spin, path, calm, signal });
  const { source, measured, tookMs, ...setting } = choice;
  const figures = { ...setting, source, beside: neighbourThreads, tookMs: Math.round(tookMs), measured };
  if (source === 'default') log.warn(figures, 'threads could not be measured: one it is');
  else log.info(figures, 'threads of the policy');
  return choice;
}
