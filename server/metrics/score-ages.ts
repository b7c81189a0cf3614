/**
 * How long scores take from their acknowledgement to a version that can have learned from them.
 *
 * What is known: the number that the store gave each score, the last number that the learner had read when a round
 * began, and the version that the round made. A score counts as learned from by the first round that began after it was
 * read; whether the round drew its completion is the sampler's secret, so this is a lower bound for a single score. Scores
 * of an earlier run of the server are not timed.
 */

import type { LearnerProgress } from '../../src/learner/index.js';

/** Scores that are timed at once; beyond it the oldest are given up. */
const maxWaiting = 65_536;
/** Candidates that may still become the head: the learner offers on while the gate is busy with one. */
const maxCandidates = 256;

export class ScoreAges {
  readonly #observe: (ms: number) => void;
  /** In the order of their numbers. */
  #waiting: { readonly sequence: number; readonly atMs: number }[] = [];
  #training = false;
  /** What the round in hand has read. */
  #read = 0;
  /** By digest: what the candidate's round had read. */
  readonly #candidates = new Map<string, number>();

  constructor(observe: (ms: number) => void) {
    this.#observe = observe;
  }

  acknowledged(sequence: number, atMs: number): void {
    this.#waiting.push({ sequence, atMs });
    if (this.#waiting.length > 2 * maxWaiting) this.#waiting = this.#waiting.slice(-maxWaiting);
  }

  progress({ state, lastSequence }: Pick<LearnerProgress, 'state' | 'lastSequence'>): void {
    const training = state === 'training';
    // Later reports of the round tell of scores that came too late for it.
    if (training && !this.#training) this.#read = lastSequence;
    this.#training = training;
  }

  candidate(adapterDigest: string): void {
    this.#candidates.set(adapterDigest, this.#read);
    if (this.#candidates.size <= maxCandidates) return;
    const [oldest] = this.#candidates.keys();
    if (oldest !== undefined) this.#candidates.delete(oldest);
  }

  /** A version went live; of a rollback nothing is learned. */
  live(adapterDigest: string, atMs: number): void {
    const read = this.#candidates.get(adapterDigest);
    if (read === undefined) return;
    this.#candidates.delete(adapterDigest);
    for (const score of this.#waiting) if (score.sequence <= read) this.#observe(atMs - score.atMs);
    this.#waiting = this.#waiting.filter(({ sequence }) => sequence > read);
  }
}
