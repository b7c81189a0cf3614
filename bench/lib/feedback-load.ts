/** The load of the feedback bench: the scores, their messages, and the messages between the bench's processes. */

import type { FeedbackItem } from '../../client/index.js';
import { toFeedbackMessage } from '../../client/requests.js';

/** Number of unanswered items that a stream may have. It is the client's default. */
export const unansweredPerStream = 1000;

/** Scores of the generations `from` to `to`. The streams take them message by message. */
export interface FeedbackLoad {
  readonly from: number;
  readonly to: number;
  readonly streams: number;
  readonly itemsPerMessage: number;
}

/** Asks to send a load, through the project's client (`score`) or the gRPC library alone (`echo`). */
export interface FeedbackTask {
  readonly type: 'score' | 'echo';
  readonly address: string;
  readonly load: FeedbackLoad;
}

/** The result of a load. */
export interface LoadResult {
  /** Number of items acknowledged as stored. */
  readonly stored: number;
  /** Time from the first message to the last acknowledgement. */
  readonly seconds: number;
}

/** Returns the id of the n-th generation, a UUIDv7. Later ids are larger. */
export function generationId(n: number): string {
  const time = (0x0192_0000_0000 + n).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

/** Returns the score of the n-th generation. */
export function feedbackItem(n: number): FeedbackItem {
  return { generationId: generationId(n), score: (n % 101) / 100, rater: 'bench' };
}

/** Returns the same score as the client's message, with an idempotency key. */
export const feedbackMessage = (n: number) => toFeedbackMessage(feedbackItem(n));

/** Yields the messages of a load in order, each as the numbers of its first item and of the one after its last. */
export function* messagesOf({ from, to, itemsPerMessage }: FeedbackLoad): Generator<readonly [number, number]> {
  for (let at = from; at < to; at += itemsPerMessage) yield [at, Math.min(to, at + itemsPerMessage)];
}

/** Runs a load. `open` starts a stream, which takes its messages from an iterator that all streams share. */
export async function runLoad(
  load: FeedbackLoad,
  open: (messages: Iterable<readonly [number, number]>) => Promise<number>,
): Promise<LoadResult> {
  const line = messagesOf(load);
  // A `for` loop that ends early would close the shared iterator for the other streams.
  const shared: Iterable<readonly [number, number]> = { [Symbol.iterator]: () => ({ next: () => line.next() }) };
  const started = performance.now();
  const stored = await Promise.all(Array.from({ length: load.streams }, () => open(shared)));
  const seconds = (performance.now() - started) / 1000;
  return { stored: stored.reduce((sum, count) => sum + count, 0), seconds };
}
