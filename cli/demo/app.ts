/**
 * Simulates an app whose users score completions. Each user sends a post, gets several completions and scores most of
 * them at once, some late, some never. The app stops when its budget of scores is spent. It pauses when it is a round or
 * two ahead of the learner, because users of a real app come more slowly than simulated ones.
 */

import { HoneClientError } from '../../client/errors.js';
import type { FeedbackStream, HoneClient } from '../../client/index.js';
import { noAnswer, type Traffic } from './traffic.js';
import { type Judge, trainingPost } from './world.js';

interface AppOptions {
  readonly client: HoneClient;
  readonly judge: Judge;
  /** Total number of scores to give. */
  readonly budget: number;
  readonly completionsPerPost: number;
  /** Number of users, each with one post at a time. */
  readonly users: number;
  /** Share of completions that are scored some seconds later. */
  readonly lateShare: number;
  /** Share of completions that are never scored. */
  readonly neverShare: number;
  /** The users pause when more scores than this wait for the learner. */
  readonly maxAhead: number;
  readonly seed: number;
  readonly traffic: Traffic;
}

/** Counts of the app, updated while it runs. */
export interface AppFigures {
  posts: number;
  generations: number;
  scores: number;
  /** Requests and scores that the server refused. */
  refused: number;
  /** Streams that ended before all their completions had ended. */
  cut: number;
  /** Reward of each scored completion, in the order of scoring, with the version that wrote it. */
  readonly rewards: { readonly version: number; readonly reward: number }[];
}

const lateMs = 4000;

export class App {
  readonly figures: AppFigures = {
    posts: 0,
    generations: 0,
    scores: 0,
    refused: 0,
    cut: 0,
    rewards: [],
  };
  /** Number of scores that the learner has used. The caller updates it. */
  scoresLearned = 0;
  readonly #options: AppOptions;
  readonly #feedback: FeedbackStream;
  readonly #late = new Set<Promise<void>>();
  #nextPost = 0;
  #promised = 0;
  /** Whether a user has failed. The others stop then: a closed client would refuse their posts without end. */
  #hasFailed = false;
  #state: number;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#feedback = options.client.feedbackStream();
    this.#state = options.seed;
  }

  /** Resolves when the budget is spent and every score is acknowledged. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.users }, () => this.#user()));
    await Promise.all(this.#late);
    await this.#feedback.close();
  }

  async #user(): Promise<void> {
    while (this.#promised < this.#options.budget && !this.#hasFailed) {
      if (this.figures.scores - this.scoresLearned > this.#options.maxAhead) {
        await pause(50);
        continue;
      }
      await this.#onePost(this.#nextPost++).catch((thrown: unknown) => {
        this.#hasFailed = true;
        throw thrown;
      });
    }
  }

  async #onePost(index: number): Promise<void> {
    const { client, judge, completionsPerPost, seed, traffic } = this.#options;
    const post = trainingPost(index).text;
    const answer = noAnswer(completionsPerPost);
    this.figures.posts += 1;
    try {
      const messages = [{ role: 'user', content: post } as const];
      await traffic.send(client, { messages, n: completionsPerPost, seed: seed + index }, answer);
    } catch (error) {
      if (!(error instanceof HoneClientError)) throw error;
      if (answer.ids.length === 0) this.figures.refused += 1;
    }
    const { ids, texts, version, finished } = answer;
    if (ids.length > 0 && finished < completionsPerPost) this.figures.cut += 1;
    if (finished < completionsPerPost) return;
    this.figures.generations += completionsPerPost;
    for (const [i, text] of texts.entries()) {
      const reward = await judge(post, text);
      await this.#score(ids[i] as string, reward, version);
    }
  }

  async #score(generationId: string, reward: number, version: number): Promise<void> {
    const { budget, neverShare, lateShare } = this.#options;
    const draw = this.#random();
    if (draw < neverShare || this.#promised >= budget) return;
    this.#promised += 1;
    const send = async (): Promise<void> => {
      await this.#feedback.ready();
      const outcome = await this.#feedback.send({ generationId, score: reward, rater: 'demo', metric: 'quality' });
      if (outcome.status === 'refused') this.figures.refused += 1;
      this.figures.scores += 1;
      this.figures.rewards.push({ version, reward });
    };
    if (draw < neverShare + lateShare) {
      const late = pause(lateMs).then(send);
      this.#late.add(late);
      late.finally(() => this.#late.delete(late));
    } else {
      await send();
    }
  }

  /** Returns a number in [0, 1) by Mulberry32. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
