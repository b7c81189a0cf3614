/** The stores of the feedback bench: makes generations, counts the scores in a file, and measures the store alone. */

import { openReplayStore, type ReplayStore, type ScoreWrite } from '../../src/replay/index.js';
import {
  type FeedbackLoad,
  feedbackMessage,
  generationId,
  type LoadResult,
  runLoad,
  unansweredPerStream,
} from './feedback-load.js';

const chunk = 1000;

/** Makes a store with a number of finished generations, through the store's own interface. */
export async function makeGenerations(path: string, count: number): Promise<void> {
  await using store = await openReplayStore({ path });
  const numbers = Uint32Array.from({ length: 16 }, (_, i) => 1000 + i);
  const logprobs = new Float32Array(16).fill(-1);
  for (let from = 0; from < count; from += chunk) {
    const ids = Array.from({ length: Math.min(chunk, count - from) }, (_, i) => generationId(from + i));
    await store.admit(
      ids.map((id) => ({
        id,
        origin: 'sampled',
        groupKey: id,
        packageDigest: 'bench',
        version: 0,
        adapterDigest: 'bench',
        promptTokens: numbers,
        promptJson: '{"prompt":"a prompt of the bench"}',
        metadataJson: '{}',
        samplingJson: '{}',
        subject: '',
        createdAtMs: 1,
      })),
    );
    await store.complete(
      ids.map((id) => ({
        id,
        state: 'finished',
        finishReason: 'stop',
        endOfSequence: true,
        tokens: numbers,
        text: 'an answer of the bench',
        logprobs,
        sampledLogprobs: logprobs,
        finishedAtMs: 2,
      })),
    );
  }
}

/** Opens the file and counts the scores, and the generations that have one. */
export async function countScores(path: string): Promise<{ scores: number; scoredGenerations: number }> {
  await using store = await openReplayStore({ path });
  return store.status();
}

/** Runs a load on the store alone, with as many items in flight as the streams of the load allow. */
export function writeLoad(store: ReplayStore, load: FeedbackLoad): Promise<LoadResult> {
  return runLoad(load, async (messages) => {
    const writes: Promise<void>[] = [];
    let waiting = 0;
    let stored = 0;
    let wake: (() => void) | undefined;
    const write = async (items: readonly ScoreWrite[]): Promise<void> => {
      waiting += items.length;
      for (const { status } of await store.write(items)) if (status === 'stored') stored += 1;
      waiting -= items.length;
      wake?.();
    };
    for (const [from, to] of messages) {
      while (waiting >= unansweredPerStream) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      writes.push(write(Array.from({ length: to - from }, (_, i) => scoreWrite(from + i))));
    }
    await Promise.all(writes);
    return stored;
  });
}

function scoreWrite(n: number): ScoreWrite {
  const { score, rater = '', idempotencyKey = '' } = feedbackMessage(n);
  return {
    type: 'score',
    generationId: generationId(n),
    value: Number(score),
    rater,
    metric: 'score',
    idempotencyKey,
    createdAtMs: 3,
  };
}
