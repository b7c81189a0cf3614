/**
 * Draws completions that give way to traffic: each is requested in the background, and requested again if traffic ended it.
 * The repetition has the same seed, so that giving way does not favour short answers.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { HoneError } from '../errors.js';
import type { CompletionRequest, FinishReason, Policy } from '../policy/index.js';
import type { GatePace } from './pace.js';

/** A completion that was drawn to its end. */
export interface DrawnCompletion {
  readonly tokens: readonly number[];
  readonly text: string;
  /** ln pi of the completion, at temperature 1. */
  readonly logprob: number;
  readonly endOfSequence: boolean;
  readonly reason: FinishReason;
}

/** Wait after `QUEUE_FULL` if the error gives no time, milliseconds. */
const defaultRetryMs = 1000;

/**
 * Runs a request to its end, however often it has to give way.
 * @param pace gets the completions, and how often the request gave way
 * @throws HoneError the signal's reason or `CANCELLED` if aborted; every error of the policy but `QUEUE_FULL`
 */
export async function completeInBackground(
  policy: Pick<Policy, 'complete'>,
  request: CompletionRequest,
  signal: AbortSignal,
  pace?: GatePace,
): Promise<DrawnCompletion[]> {
  for (;;) {
    stopIfAborted(signal);
    try {
      const drawn = await complete(policy, { ...request, background: true }, signal);
      if (!signal.aborted && drawn.every(({ reason }) => reason !== 'cancelled')) {
        pace?.completed(drawn.length);
        return drawn;
      }
      pace?.gaveWay();
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (signal.aborted || error.code !== 'QUEUE_FULL') throw error;
      // If the signal aborts the pause, the top of the loop throws.
      await pause(error.retryAfterMs ?? defaultRetryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function complete(
  policy: Pick<Policy, 'complete'>,
  request: CompletionRequest,
  signal: AbortSignal,
): Promise<DrawnCompletion[]> {
  const drawn = request.completions.map(() => ({
    tokens: [] as number[],
    text: '',
    logprob: 0,
    endOfSequence: false,
    reason: 'cancelled' as FinishReason,
  }));
  for await (const event of policy.complete(request, signal)) {
    const one = event.type === 'started' ? undefined : drawn[event.completion];
    if (one === undefined) continue;
    if (event.type === 'finished') {
      one.reason = event.reason;
      one.endOfSequence = event.endOfSequence;
    } else if (event.type === 'tokens') {
      for (const token of event.tokens) one.tokens.push(token);
      for (const logprob of event.logprobs) one.logprob += logprob;
      one.text += event.text;
    }
  }
  return drawn;
}

/** @throws HoneError the signal's reason or `CANCELLED` */
export function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(signal);
}

function abortReason(signal: AbortSignal): HoneError {
  if (signal.reason instanceof HoneError) return signal.reason;
  return new HoneError('CANCELLED', 'the gate was stopped before it had measured everything', {
    cause: signal.reason,
  });
}
