/**
 * Measures how much of the processor training gets.
 *
 * The learner runs in the time that others leave. Beside a busy policy or another program its steps become slow, and no
 * other figure shows why.
 */

import type { LearnerEvent } from './messages.js';
import type { LearnerProgress } from './status.js';

export interface ProcessorClock {
  /** Milliseconds since some fixed moment. */
  readonly now: () => number;
  /** Processor time of all threads of this process, in milliseconds. */
  readonly processorMs: () => number;
}

/** The share is a mean over at least this much time spent on training. */
const windowMs = 20_000;
/** In cores. A step that has the processor to itself takes at least one core, with any number of threads. */
const starvedBelow = 0.25;
const recoveredFrom = 0.5;

const thisProcess: ProcessorClock = {
  now: () => performance.now(),
  processorMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/** Adds the share to the reports of the learner. */
export class ProcessorShare {
  readonly #clock: ProcessorClock;
  /** Spans of training, oldest first. */
  #spans: { readonly ms: number; readonly processorMs: number }[] = [];
  #last: { readonly atMs: number; readonly processorMs: number } | null = null;
  #starved = false;

  constructor(clock: ProcessorClock = thisProcess) {
    this.#clock = clock;
  }

  /**
   * Counts the time since the last report if it was spent on training.
   * @returns the report, with the share once it is known; and a `starved` event if the share has just fallen too low
   */
  see(progress: LearnerProgress): LearnerEvent[] {
    const [atMs, processorMs] = [this.#clock.now(), this.#clock.processorMs()];
    if (this.#last !== null) this.#add(atMs - this.#last.atMs, processorMs - this.#last.processorMs);
    this.#last = progress.state === 'training' ? { atMs, processorMs } : null;
    const share = this.#share();
    if (share === null) return [{ type: 'progress', progress }];
    const report: LearnerEvent = { type: 'progress', progress: { ...progress, processorShare: share } };
    if (this.#starved) {
      this.#starved = share < recoveredFrom;
      return [report];
    }
    this.#starved = share < starvedBelow;
    return this.#starved ? [report, starvation(share, progress.stepMs)] : [report];
  }

  #add(ms: number, processorMs: number): void {
    this.#spans.push({ ms, processorMs });
    let total = sumOf(this.#spans, 'ms');
    for (let oldest = this.#spans[0]; oldest !== undefined && total - oldest.ms >= windowMs; oldest = this.#spans[0]) {
      total -= oldest.ms;
      this.#spans.shift();
    }
  }

  #share(): number | null {
    const ms = sumOf(this.#spans, 'ms');
    return ms < windowMs ? null : sumOf(this.#spans, 'processorMs') / ms;
  }
}

function sumOf(spans: readonly { readonly ms: number; readonly processorMs: number }[], name: 'ms' | 'processorMs') {
  return spans.reduce((sum, span) => sum + span[name], 0);
}

function starvation(share: number, stepMs: number | null): LearnerEvent {
  const step = stepMs === null ? '' : `, a step takes ${(stepMs / 1000).toFixed(1)} s`;
  return {
    type: 'starved',
    message: `training gets ${Math.round(share * 100)} % of a core${step}: serving or another program takes the rest; leave the learner a core (--threads), or send fewer requests`,
    numbers: { processor_share: share, ...(stepMs === null ? {} : { step_ms: stepMs }) },
  };
}
