/** The load of the feedback bench: which scores are sent, in which messages, and what the processes say to each other. */

import type { FeedbackItem } from '../../client/index.js';
import { toFeedbackMessage } from '../../client/requests.js';

/** Items of a stream that may wait for their answer; what the client allows unless told otherwise. */
export const unansweredPerStream = 1000;

/** Scores of generations `from` to `to`, shared out among the streams message by message. */
export interface FeedbackLoad {
  readonly from: number;
  readonly to: number;
  readonly streams: number;
  readonly itemsPerMessage: number;
}

/** Sends a load: through the client of the project, or the same messages through the gRPC library alone. */
export interface FeedbackTask {
  readonly type: 'score' | 'echo';
  readonly address: string;
  readonly load: FeedbackLoad;
}

/** How a load went. */
export interface LoadResult {
  /** Items acknowledged as stored. */
  readonly stored: number;
  /** From the first message to the last acknowledgement. */
  readonly seconds: number;
}

/** The id of the n-th generation: a UUIDv7, later ones are larger. */
export function generationId(n: number): string {
  const time = (0x0192_0000_0000 + n).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

/** The score of the n-th generation. */
export function feedbackItem(n: number): FeedbackItem {
  return { generationId: generationId(n), score: (n % 101) / 100, rater: 'bench' };
}

/** The same as the client sends it, with a key. */
export const feedbackMessage = (n: number) => toFeedbackMessage(feedbackItem(n));

/** Hands out the messages of a load in order: the numbers of their first item and of the one after the last. */
export function* messagesOf({ from, to, itemsPerMessage }: FeedbackLoad): Generator<readonly [number, number]> {
  for (let at = from; at < to; at += itemsPerMessage) yield [at, Math.min(to, at + itemsPerMessage)];
}

/** Runs a load: `open` begins a stream, which takes messages from the one line that all streams share. */
export async function runLoad(
  load: FeedbackLoad,
  open: (messages: Iterable<readonly [number, number]>) => Promise<number>,
): Promise<LoadResult> {
  const line = messagesOf(load);
  // Leaving a loop over the line would end it for the other streams.
  const shared: Iterable<readonly [number, number]> = { [Symbol.iterator]: () => ({ next: () => line.next() }) };
  const started = performance.now();
  const stored = await Promise.all(Array.from({ length: load.streams }, () => open(shared)));
  const seconds = (performance.now() - started) / 1000;
  return { stored: stored.reduce((sum, count) => sum + count, 0), seconds };
}
