/** Sends the learner's state and figures to the server: when they have changed, and not too often. */

import type { ExperienceBuffer } from '../experience/buffer.js';
import { BufferCensus } from '../experience/staleness.js';
import type { RoundStatus } from '../round/round.js';
import type { LearnerEvent } from './messages.js';
import type { LearnerProgress, LearnerState } from './status.js';

/** Milliseconds between two reports while training. */
const trainingEveryMs = 250;
/** Milliseconds between two reports of an idle learner that reads scores: its buffer is counted as often. */
const readingEveryMs = 1000;

export class Reporter {
  readonly #send: (event: LearnerEvent) => void;
  readonly #census = new BufferCensus();
  readonly #trainingEveryMs: number;
  readonly #readingEveryMs: number;
  #state: LearnerState = 'starting';
  #atMs = 0;
  #sequence = -1;

  /** @param everyMs least time between two reports; default: the constants above */
  constructor(send: (event: LearnerEvent) => void, everyMs?: number) {
    this.#send = send;
    this.#trainingEveryMs = everyMs ?? trainingEveryMs;
    this.#readingEveryMs = everyMs ?? readingEveryMs;
  }

  /** Whether a step is worth a report. */
  get isTrainingDue(): boolean {
    return this.#state !== 'training' || performance.now() - this.#atMs >= this.#trainingEveryMs;
  }

  /** Milliseconds until the server is to hear of what was read since the last report; null if nothing was read. */
  readingDueMs({ sequence }: ExperienceBuffer): number | null {
    return sequence === this.#sequence ? null : Math.max(0, this.#atMs + this.#readingEveryMs - performance.now());
  }

  report(
    state: LearnerState,
    figures: RoundStatus & Pick<LearnerProgress, 'setAside'>,
    buffer: ExperienceBuffer,
    liveVersion: number,
  ): void {
    this.#state = state;
    this.#atMs = performance.now();
    this.#sequence = buffer.sequence;
    const { scoresSeen, sequence: lastSequence } = buffer;
    const census = this.#census.of(buffer, liveVersion, state !== 'training');
    this.#send({ type: 'progress', progress: { state, scoresSeen, lastSequence, ...figures, buffer: census } });
  }
}
