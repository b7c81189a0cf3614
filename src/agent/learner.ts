/** The learner process as the agent sees it. */

import type { LearnerEvent, LearnerStatus, LiveVersionChange } from '../learner/index.js';

export interface Learner {
  status(): LearnerStatus;
  /** Another version is live: train on from its weights. */
  live(head: LiveVersionChange): void;
  /**
   * A version that the learner offered will never serve. If it has trained on from it, it goes back to the live
   * weights.
   */
  rejected(adapterDigest: string): void;
  /**
   * Learn from everything that the store still holds as if for the first time.
   * @returns the number of the command. A `relearned` event with at least this number in `upTo` confirms that it was
   * carried out, on disk. Numbers begin again with the server.
   */
  relearn(): number;
  /** Why the learner has set a record aside, in words; undefined if it has not. */
  setAsideBecause(generationId: string): string | undefined;
  /** Data was erased: weights that were trained on it are discarded for the live weights. */
  erased(): void;
  /** The store has changed: read it again. */
  changed(): void;
  /** Finishes the step in flight, writes the checkpoint and ends the process. Scores are still stored. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  onEvent(listener: (event: LearnerEvent) => void): void;
}
