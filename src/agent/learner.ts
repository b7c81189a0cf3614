import type { LearnerEvent, LearnerStatus, LiveVersionChange } from '../learner/index.js';

/** The learner process as the agent holds it. */
export interface Learner {
  status(): LearnerStatus;
  /** The head moved: train on from these weights. */
  live(head: LiveVersionChange): void;
  /** A version that it offered will never serve: where it trained on from it, it goes back to the live weights. */
  rejected(adapterDigest: string): void;
  /** Learn from everything that the store still holds as if for the first time. */
  relearn(): void;
  /** Somebody's data was erased: what was trained on it is given up for the live weights. */
  erased(): void;
  /** The store has changed: look again. */
  changed(): void;
  /** Finishes the step in flight, writes the checkpoint, ends the process; scores are still taken. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  onEvent(listener: (event: LearnerEvent) => void): void;
}
