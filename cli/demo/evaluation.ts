/** Measures how good a version is, on posts that no version was trained on. */

import type { HoneClient } from '../../client/index.js';
import { type Estimate, estimate, mean } from './statistics.js';
import type { Traffic } from './traffic.js';
import type { Judge, Post } from './world.js';

/** The completions of one post by one version. */
interface Answers {
  readonly post: string;
  readonly texts: readonly string[];
  /** The judge's score of each text. */
  readonly scores: readonly number[];
  /** Mean length of the texts, in tokens. */
  readonly tokens: number;
}

/** The answers of a version to all posts. */
export class Evaluation {
  readonly version: number;
  readonly answers: readonly Answers[];

  constructor(version: number, answers: readonly Answers[]) {
    this.version = version;
    this.answers = answers;
  }

  /** Returns for each post the mean score of its samples. */
  rewards(): number[] {
    return this.answers.map(({ scores }) => mean(scores));
  }

  /** Returns for each post the expected best of `k` samples: the mean over groups of `k`. `k` divides their number. */
  bestOf(k: number): number[] {
    return this.answers.map(({ scores }) => mean(chunks(scores, k).map((chunk) => Math.max(...chunk))));
  }

  reward(): Estimate {
    return estimate(this.rewards());
  }

  length(): Estimate {
    return estimate(this.answers.map(({ tokens }) => tokens));
  }
}

interface EvaluationOptions {
  readonly client: HoneClient;
  readonly judge: Judge;
  readonly posts: readonly Post[];
  readonly samplesPerPost: number;
  /** The version to measure. */
  readonly version: number;
  readonly seed: number;
  /** Number of requests that run at once. */
  readonly concurrency: number;
  readonly traffic: Traffic;
  readonly onPost?: (done: number) => void;
}

/** Samples at temperature 1 and has the judge score the samples. `store: false` keeps the learner from using them. */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { client, judge, posts, samplesPerPost, version, seed, concurrency, traffic, onPost } = options;
  const answers: Answers[] = [];
  let done = 0;
  await forEachConcurrently(posts, concurrency, async (post, i) => {
    const messages = [{ role: 'user', content: post.text } as const];
    const request = { messages, n: samplesPerPost, seed: seed + i, store: false, version };
    const { texts, tokens } = await traffic.send(client, request);
    const scores = await Promise.all(texts.map((text) => judge(post.text, text)));
    answers[i] = { post: post.text, texts, scores, tokens: tokens / samplesPerPost };
    done += 1;
    onPost?.(done);
  });
  return new Evaluation(version, answers);
}

/** Runs `work` on every item, at most `concurrency` at a time. */
async function forEachConcurrently<T>(
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

function chunks<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.floor(values.length / size) }, (_, i) => values.slice(i * size, (i + 1) * size));
}
