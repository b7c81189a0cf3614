/**
 * Chooses the number of threads that decode, and whether idle ones spin, by a short measurement at start.
 *
 * Neither can be known beforehand. Small models are faster on one thread than on two that wait for each other, and
 * spinning threads beside a busy learner may take three times as long. Therefore the first layers of the package's own
 * decoder are timed on this machine. If a learner will run, a process as busy as it runs beside the measurement. A
 * child process measures for about a second. The result is kept in a file and reused as long as the model, the machine
 * and the wishes stay the same.
 */

import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { env } from 'onnxruntime-node';
import type { Package } from '../../package/index.js';
import { readChoice, writeChoice } from './choice-file.js';
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
}

export interface ThreadChoice extends ThreadSetting {
  /** `given`: there was no choice; `kept`: measured at an earlier start; `default`: the measurement failed. */
  readonly source: 'given' | 'measured' | 'kept' | 'default';
  /** The measurements of this or of the earlier start. */
  readonly measured: readonly ThreadMeasurement[];
  /** Duration of the measurement in milliseconds; 0 without one. */
  readonly tookMs: number;
}

/** After this time no further number of threads is tried. */
const enoughMs = 1000;

/** Never rejects: a server that cannot measure serves on one thread. */
export async function chooseThreads(options: ChooseThreadsOptions): Promise<ThreadChoice> {
  const settings = settingsToTry(options.cores, options);
  const only = settings.flat();
  if (only.length === 1 && only[0] !== undefined) return { ...only[0], source: 'given', measured: [], tookMs: 0 };
  const key = keyOf(options);
  const kept = readChoice(options.path, key);
  const chosen = kept === undefined ? undefined : choose(kept, options.cores);
  if (kept !== undefined && chosen !== undefined) return { ...chosen, source: 'kept', measured: kept, tookMs: 0 };
  await options.calm?.();
  const startedAt = performance.now();
  const { pkg, neighbourThreads, maxMs = 15_000, signal } = options;
  const { modelPath, config } = pkg;
  const order = { modelPath, contextLength: config.contextLength, settings, neighbourThreads, enoughMs };
  const measured = await runMeasurement(order, maxMs, signal);
  const tookMs = performance.now() - startedAt;
  const best = choose(measured, options.cores);
  if (best === undefined) return { threads: options.threads ?? 1, spin: false, source: 'default', measured, tookMs };
  writeChoice(options.path, key, measured);
  return { ...best, source: 'measured', measured, tookMs };
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
