/** How good a version is on posts that were never in the buffer. */

import type { HoneClient } from '../client.js';
import type { Judge, Post } from './world.js';

export interface Evaluation {
  readonly version: number;
  /** Mean over posts of the mean score of a post's samples. */
  readonly reward: number;
  /** Standard error of `reward` over posts. */
  readonly standardError: number;
  /** Mean completion length in tokens. */
  readonly length: number;
  /** Mean over posts of the best of k samples, for each k that divides the samples. */
  bestOf(k: number): number;
  /** First sample of each post. */
  readonly samples: readonly { readonly post: string; readonly text: string; readonly score: number }[];
}

export interface EvaluationOptions {
  readonly client: HoneClient;
  readonly judge: Judge;
  readonly posts: readonly Post[];
  readonly samplesPerPost: number;
  /** A version to pin; the live one by default. */
  readonly version?: number;
  readonly seed: number;
  /** Requests in flight. */
  readonly concurrency: number;
  readonly onPost?: (done: number) => void;
}

/** Samples at temperature 1 with `store: false`: nothing of it is kept or learned from. */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { client, judge, posts, samplesPerPost, version, seed, concurrency, onPost } = options;
  const results: { scores: number[]; texts: string[]; tokens: number; version: number }[] = [];
  let done = 0;
  await forEachConcurrently(posts, concurrency, async (post, i) => {
    const result = await client.generate({
      messages: [{ role: 'user', content: post.text }],
      n: samplesPerPost,
      seed: seed + i,
      store: false,
      ...(version === undefined ? {} : { version }),
    });
    const texts = result.candidates.map(({ text }) => text);
    const scores = await Promise.all(texts.map((text) => judge(post.text, text)));
    results[i] = { scores, texts, tokens: result.usage.completionTokens / samplesPerPost, version: result.version };
    done += 1;
    onPost?.(done);
  });
  const means = results.map(({ scores }) => mean(scores));
  const reward = mean(means);
  return {
    version: results[0]?.version ?? 0,
    reward,
    standardError: Math.sqrt(mean(means.map((value) => (value - reward) ** 2)) / Math.max(1, means.length - 1)),
    length: mean(results.map(({ tokens }) => tokens)),
    bestOf: (k) => mean(results.map(({ scores }) => mean(chunks(scores, k).map((chunk) => Math.max(...chunk))))),
    samples: results.map(({ texts, scores }, i) => ({
      post: (posts[i] as Post).text,
      text: texts[0] as string,
      score: scores[0] as number,
    })),
  };
}

/** Runs `work` on every item, at most `concurrency` at a time. */
export async function forEachConcurrently<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function chunks<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.floor(values.length / size) }, (_, i) => values.slice(i * size, (i + 1) * size));
}
