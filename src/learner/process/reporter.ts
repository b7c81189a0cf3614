/** What the learner tells of itself while it runs: state and figures, when they change and not too often. */

import type { ExperienceBuffer } from '../experience/buffer.js';
import { BufferCensus } from '../experience/staleness.js';
import type { RoundStatus } from '../round/round.js';
import type { LearnerEvent } from './messages.js';
import type { LearnerState } from './status.js';

/** Of an idle learner that reads scores: no more often than its buffer is counted. */
const readingEveryMs = 1000;

export class Reporter {
  readonly #send: (event: LearnerEvent) => void;
  readonly #census = new BufferCensus();
  #state: LearnerState = 'starting';
  #atMs = 0;
  readonly #trainingEveryMs: number;
  #sequence = -1;

  constructor(send: (event: LearnerEvent) => void, trainingEveryMs = 250) {
    this.#send = send;
    this.#trainingEveryMs = trainingEveryMs;
  }

  /** Whether a step is worth a report. */
  get isTrainingDue(): boolean {
    return this.#state !== 'training' || performance.now() - this.#atMs >= this.#trainingEveryMs;
  }

  /** Milliseconds until what was read since the last report is to be shown, 0 when it is now; null: nothing was read. */
  readingDueMs({ sequence }: ExperienceBuffer): number | null {
    return sequence === this.#sequence ? null : Math.max(0, this.#atMs + readingEveryMs - performance.now());
  }

  report(state: LearnerState, round: RoundStatus, buffer: ExperienceBuffer, liveVersion: number): void {
    this.#state = state;
    this.#atMs = performance.now();
    this.#sequence = buffer.sequence;
    const { scoresSeen, sequence: lastSequence } = buffer;
    const census = this.#census.of(buffer, liveVersion, state !== 'training');
    this.#send({ type: 'progress', progress: { state, scoresSeen, lastSequence, ...round, buffer: census } });
  }
}
