/**
 * Tries a provider before the learner trusts it, in a child process, because an experimental provider may end the
 * process instead of throwing. The trial compares gradients: a provider has been seen with a right loss and wrong
 * gradients.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { HoneError, type SerializedError } from '../../errors.js';
import type { LearnerSettings } from '../types.js';
import { unavailable } from './device.js';
import type { Provider } from './names.js';

export interface DeviceTrial {
  readonly packageDirectory: string;
  readonly settings: LearnerSettings;
  readonly provider: Provider;
  /** Whether to time a step, too. */
  readonly measure: boolean;
}

export interface DeviceFigures {
  /** {@link worstDifference} to the cpu's gradients and log-probabilities; 0 for the cpu itself. */
  readonly difference: number;
  /** Fastest step of 8 completions of 64 tokens after prompts of 64; `null` if no step was timed. */
  readonly stepMs: number | null;
}

/** The message that the child sends back. */
export type TrialReply = { readonly figures: DeviceFigures } | { readonly failure: SerializedError };

/**
 * A provider with a larger difference is not used. Sums in another order differ by 1e-6 to 1e-5; products in a shorter
 * format than float32 (TF32, float16) by 1e-4 to 1e-3; wrong results by far more.
 */
export const largestDifference = 1e-4;

/**
 * Characters kept of the child's standard error, from its beginning: drivers explain an error before any stack trace.
 */
const stderrKept = 500;

/**
 * @param limitMs longest time of the trial; then the child is killed
 * @throws HoneError `DEVICE_UNAVAILABLE` if the provider does not open, ends the process, takes too long or computes
 * something else than the cpu; other codes if the package cannot be trained on any device
 */
export async function tryDevice(trial: DeviceTrial, limitMs: number): Promise<DeviceFigures> {
  const { provider } = trial;
  const child = fork(new URL('./device-trial-process.js', import.meta.url), {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  child.send(trial, () => undefined);
  const figures = await outcomeOf(child, provider, limitMs);
  if (figures.difference <= largestDifference) return figures;
  throw unavailable(
    provider,
    `its gradients differ from the cpu's by ${figures.difference.toExponential(1)}, relative; up to ${largestDifference} would be rounding`,
  );
}

/**
 * The reply of a trial's child; the child ends by itself after it.
 * @throws HoneError `DEVICE_UNAVAILABLE` if no reply comes; the child's own error if the trial failed
 */
export function outcomeOf(child: ChildProcess, provider: Provider, limitMs: number): Promise<DeviceFigures> {
  return new Promise((resolve, reject) => {
    let stderr = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, limitMs);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(0, stderrKept);
    });
    child.once('message', (reply: TrialReply) => {
      if ('figures' in reply) resolve(reply.figures);
      else reject(HoneError.fromJSON(reply.failure));
    });
    child.once('error', (cause) => reject(unavailable(provider, cause.message, cause)));
    // `close` comes after the last message: if there was a reply, the promise is settled and this rejection does
    // nothing.
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const said = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
      const ended = `the process that tried it ended with ${signal ?? `code ${code}`}${said}`;
      reject(unavailable(provider, late ? `the trial took longer than ${limitMs / 1000} s` : ended));
    });
  });
}

/** The largest |a - b| / |b| over all names; infinite if a vector is missing, too short or not finite. */
export function worstDifference(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
): number {
  let worst = 0;
  for (const [name, b] of expected) {
    const a = actual.get(name);
    if (a?.length !== b.length) return Number.POSITIVE_INFINITY;
    let difference = 0;
    let norm = 0;
    for (let i = 0; i < b.length; i++) {
      difference += ((a[i] as number) - (b[i] as number)) ** 2;
      norm += (b[i] as number) ** 2;
    }
    const relative = Math.sqrt(difference / (norm === 0 ? 1 : norm));
    if (!Number.isFinite(relative)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, relative);
  }
  return worst;
}
