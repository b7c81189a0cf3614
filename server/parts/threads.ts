/** Chooses the policy's threads, unless the flags give them, and logs the choice with its reason. */

import type { Logger } from 'pino';
import { checkLearnerSettings } from '../../src/learner/settings.js';
import type { Package } from '../../src/package/index.js';
import { chooseThreads, type ThreadChoice } from '../../src/policy/index.js';
import type { ServerOptions } from '../options.js';

/**
 * Chooses the threads. If a learner will run, the measurement runs beside a load like the learner's.
 * @param path the file that keeps the measurement
 * @param calm resolves when this process computes nothing; a measurement waits for it
 * @param signal stops the measurement
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
  const { source, measured, tookMs, damage, provisional, ...setting } = choice;
  const figures = { ...setting, provisional, source, beside: neighbourThreads, tookMs: Math.round(tookMs), measured };
  if (damage !== null)
    log.warn({ path, damage }, 'the kept measurement of the threads is damaged; it is measured again');
  if (source === 'default') log.warn(figures, 'the threads could not be measured; the policy uses one');
  else if (provisional) {
    const message =
      'threads of the policy, measured while other programs were busy; the next start measures again (--threads and --spin set them)';
    log.info(figures, message);
  } else log.info(figures, 'threads of the policy');
  return choice;
}
