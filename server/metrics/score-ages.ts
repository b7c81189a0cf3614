/**
 * Measures how long scores take from their acknowledgement to a live version that can have learned from them.
 *
 * Three things are known: the store's sequence number of each score, the last number that the learner had read when a
 * round began, and the version that the round made. A score counts as learned in the first round that began after the
 * learner read it. The sampler may not have drawn its completion in that round, so the time of a single score is a
 * lower bound. Scores of an earlier run of the server are not measured.
 */

import type { LearnerProgress } from '../../src/learner/index.js';

/** Most scores that are measured at the same time; when there are more, the oldest are dropped. */
const maxWaiting = 65_536;
/** Candidates that may still go live: the learner offers more while the gate judges one. */
const maxCandidates = 256;

export class ScoreAges {
  readonly #observe: (ms: number) => void;
  /** In the order of their sequence numbers. */
  #waiting: { readonly sequence: number; readonly atMs: number }[] = [];
  #training = false;
  /** Last sequence number that the current round has read. */
  #read = 0;
  /** Last sequence number that the candidate's round had read, by digest. */
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
    // Later reports of the same round include scores that came too late for it.
    if (training && !this.#training) this.#read = lastSequence;
    this.#training = training;
  }

  candidate(adapterDigest: string): void {
    this.#candidates.set(adapterDigest, this.#read);
    if (this.#candidates.size <= maxCandidates) return;
    const [oldest] = this.#candidates.keys();
    if (oldest !== undefined) this.#candidates.delete(oldest);
  }

  /** Called when a version goes live. A rollback measures nothing. */
  live(adapterDigest: string, atMs: number): void {
    const read = this.#candidates.get(adapterDigest);
    if (read === undefined) return;
    this.#candidates.delete(adapterDigest);
    for (const score of this.#waiting) if (score.sequence <= read) this.#observe(atMs - score.atMs);
    this.#waiting = this.#waiting.filter(({ sequence }) => sequence > read);
  }
}
