/**
 * Chooses the number of threads that decode, and whether idle ones spin, by a short measurement at start.
 *
 * Neither can be known beforehand. Small models are faster on one thread than on two that wait for each other, and
 * spinning threads beside a busy learner may take three times as long. Therefore the first layers of the package's own
 * decoder are timed on this machine. If a learner will run, a process as busy as it runs beside the measurement. A
 * child process measures for about a second. The result is kept in a file and reused as long as the model, the machine
 * and the wishes stay the same.
 *
 * If other programs were busy meanwhile, the result is provisional: the next start measures again, for a limited number
 * of starts, and the measurement on the least busy machine counts.
 */

import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { env } from 'onnxruntime-node';
import type { Package } from '../../package/index.js';
import { type KeptMeasurement, readChoice, writeChoice } from './choice-file.js';
import { type ProcessorTimes, readProcessorTimes, shareOfOthers } from './machine-load.js';
import { choose, settingsToTry, type ThreadMeasurement, type ThreadSetting, type ThreadWishes } from './measurement.js';
import type { MeasuringOrder } from './measuring-process.js';

export interface ChooseThreadsOptions extends ThreadWishes {
  readonly pkg: Pick<Package, 'digest' | 'modelPath' | 'config'>;
  /** Number of cores that the process may use. */
  readonly cores: number;
  /** Number of threads of the learner that will run beside; 0 without a learner. */
  readonly neighbourThreads: number;
  /** File in which the measurements are kept. */
  readonly path: string;
  /** Called before a measurement. Resolves when this process computes nothing that would disturb it. */
  readonly calm?: () => Promise<unknown>;
  /** A longer measurement is aborted, and one thread is chosen. Default 15 000. */
  readonly maxMs?: number;
  /** Aborts the measurement as if it had taken too long. */
  readonly signal?: AbortSignal;
  /** Reads the processor times before and after a measurement. Default: those of the machine. */
  readonly processorTimes?: () => ProcessorTimes | null;
}

export interface ThreadChoice extends ThreadSetting {
  /** `given`: there was no choice; `kept`: measured at an earlier start; `default`: the measurement failed. */
  readonly source: 'given' | 'measured' | 'kept' | 'default';
  /** The measurements of this or of the earlier start. */
  readonly measured: readonly ThreadMeasurement[];
  /** Duration of the measurement in milliseconds; 0 without one. */
  readonly tookMs: number;
  /** Share of the processor time of all cores that other programs used during it; null: not known. */
  readonly othersShare: number | null;
  /** Whether other programs were so busy that the next start measures again. */
  readonly provisional: boolean;
  /** Why the file with an earlier measurement could not be used; null if nothing was wrong with it. */
  readonly damage: string | null;
}

/** After this time no further number of threads is tried. */
const enoughMs = 1000;
/** With a larger share of the processor time for other programs, a measurement is provisional. */
const mostForOthers = 0.1;
/** A machine that was busy at so many starts always is: the measurement on the least busy one of them is kept. */
const mostBusyTries = 5;

/** Never rejects: a server that cannot measure serves on one thread. */
export async function chooseThreads(options: ChooseThreadsOptions): Promise<ThreadChoice> {
  const settings = settingsToTry(options.cores, options);
  const only = settings.flat();
  const unmeasured = { measured: [], tookMs: 0, othersShare: null, provisional: false, damage: null };
  if (only.length === 1 && only[0] !== undefined) return { ...only[0], source: 'given', ...unmeasured };
  const key = keyOf(options);
  const found = readChoice(options.path, key);
  const damage = found.is === 'damaged' ? found.reason : null;
  const kept = found.is === 'kept' && choose(found.measured, options.cores) !== undefined ? found : null;
  if (kept !== null && !isProvisional(kept))
    return chosenFrom(kept, options.cores, { source: 'kept', tookMs: 0, damage });
  const { measured, tookMs, othersShare } = await measureNow(options, settings);
  if (choose(measured, options.cores) === undefined) {
    if (kept !== null) return chosenFrom(kept, options.cores, { source: 'kept', tookMs, damage });
    return { threads: options.threads ?? 1, spin: false, source: 'default', ...unmeasured, measured, tookMs, damage };
  }
  const better = betterOf(kept, {
    measured,
    othersShare,
    busyTries: (kept?.busyTries ?? 0) + (isBusy(othersShare) ? 1 : 0),
  });
  writeChoice(options.path, key, better);
  return chosenFrom(better, options.cores, { source: 'measured', tookMs, damage });
}

const isBusy = (othersShare: number | null): boolean => othersShare !== null && othersShare > mostForOthers;

/** Whether the next start measures again. */
function isProvisional({ othersShare, busyTries }: KeptMeasurement): boolean {
  return isBusy(othersShare) && busyTries < mostBusyTries;
}

/** Returns the measurement beside which other programs did less, with the number of tries so far. */
function betterOf(kept: KeptMeasurement | null, fresh: KeptMeasurement): KeptMeasurement {
  const isWorse = kept !== null && isBusy(fresh.othersShare) && (kept.othersShare ?? 0) < (fresh.othersShare ?? 0);
  return isWorse ? { ...kept, busyTries: fresh.busyTries } : fresh;
}

function chosenFrom(
  { measured, othersShare, busyTries }: KeptMeasurement,
  cores: number,
  how: Pick<ThreadChoice, 'source' | 'tookMs' | 'damage'>,
): ThreadChoice {
  const provisional = isProvisional({ measured, othersShare, busyTries });
  // The caller has checked that the measurements allow a choice.
  return { ...(choose(measured, cores) as ThreadSetting), ...how, measured, othersShare, provisional };
}

async function measureNow(
  options: ChooseThreadsOptions,
  settings: MeasuringOrder['settings'],
): Promise<Pick<ThreadChoice, 'measured' | 'tookMs' | 'othersShare'>> {
  await options.calm?.();
  const { pkg, neighbourThreads, maxMs = 15_000, signal, processorTimes = readProcessorTimes } = options;
  const { modelPath, config } = pkg;
  const order = { modelPath, contextLength: config.contextLength, settings, neighbourThreads, enoughMs };
  const startedAt = performance.now();
  const before = processorTimes();
  const measured = await runMeasurement(order, maxMs, signal);
  const othersShare = shareOfOthers(before, processorTimes());
  return { measured, tookMs: performance.now() - startedAt, othersShare };
}

/** Returns everything on which the measurements depend. */
function keyOf({
  pkg,
  cores,
  threads,
  spin,
  neighbourThreads,
}: ChooseThreadsOptions): Readonly<Record<string, unknown>> {
  return {
    packageDigest: pkg.digest,
    processor: cpus()[0]?.model ?? '',
    cores,
    onnxruntime: env.versions.node ?? env.versions.common,
    neighbourThreads,
    threads: threads ?? 'auto',
    spin: spin ?? 'auto',
  };
}

function runMeasurement(
  order: MeasuringOrder,
  maxMs: number,
  signal: AbortSignal | undefined,
): Promise<readonly ThreadMeasurement[]> {
  return new Promise((resolve) => {
    const child = fork(new URL('./measuring-process.js', import.meta.url), { stdio: 'ignore', execArgv: [] });
    const giveUp = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(giveUp, maxMs);
    signal?.addEventListener('abort', giveUp);
    if (signal?.aborted) giveUp();
    let measured: readonly ThreadMeasurement[] = [];
    child.once('message', (message: readonly ThreadMeasurement[]) => {
      measured = message;
    });
    const ended = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      resolve(measured);
    };
    child.once('error', ended);
    child.once('exit', ended);
    child.send(order, () => undefined);
  });
}
