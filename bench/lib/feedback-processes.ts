/** Starts the processes of the feedback bench and calls them. */

import { fileURLToPath } from 'node:url';
import { type Child, startChild } from './child-process.js';
import type { FeedbackLoad, FeedbackTask, LoadResult } from './feedback-load.js';

interface FeedbackClient {
  /** Sends the scores through the project's client. Resolves when all are acknowledged. */
  score(address: string, load: FeedbackLoad): Promise<LoadResult>;
  /** Sends the same messages through the gRPC library alone. */
  echo(address: string, load: FeedbackLoad): Promise<LoadResult>;
  close(): Promise<void>;
}

/** Starts a process that sends scores. */
export function startFeedbackClient(): FeedbackClient {
  const child = start('./feedback-child.js');
  const run = (task: FeedbackTask): Promise<LoadResult> => child.ask<LoadResult>(task);
  return {
    score: (address, load) => run({ type: 'score', address, load }),
    echo: (address, load) => run({ type: 'echo', address, load }),
    close: () => child.close(),
  };
}

/** Starts a process that answers a stream of feedback and does nothing else. */
export async function startFeedbackEcho(): Promise<{ readonly address: string; close(): Promise<void> }> {
  const child = start('./echo-child.js');
  const { address } = await child.ask<{ readonly address: string }>({ type: 'open' });
  return { address, close: () => child.close() };
}

const start = (script: string): Child => startChild(fileURLToPath(new URL(script, import.meta.url)));
