/** Publishes what the learner process reports as events of the loop, and its progress at most once a second. */

import type { LearnerEvent, LearnerProgress, LearnerState, SetAsideRecord } from '../../learner/index.js';
import type { EventLog } from './event-log.js';

const progressEveryMs = 1000;
/** Records that were set aside at once and get an event of their own: the ring of events has room for other things. */
const namedAtOnce = 50;

export class LearnerEventPublisher {
  readonly #events: EventLog;
  readonly #now: () => number;
  #state: LearnerState = 'starting';
  #rounds = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(events: EventLog, now: () => number) {
    this.#events = events;
    this.#now = now;
  }

  publish(event: LearnerEvent): void {
    if (event.type === 'failed') {
      this.#events.publish({ type: 'worker_restarted', detail: `learner: ${event.code}: ${event.message}` });
    }
    if (event.type === 'setback') {
      const { message, numbers, liveVersion: version } = event;
      this.#events.publish({ type: 'learner_setback', version, detail: message, numbers });
    }
    if (event.type === 'starved') {
      this.#events.publish({ type: 'learner_starved', detail: event.message, numbers: event.numbers });
    }
    if (event.type === 'recovered') {
      this.#events.publish({ type: 'starvation_ended', detail: `learner: ${event.message}`, numbers: event.numbers });
    }
    if (event.type === 'set_aside' && event.isNews) this.#publishSetAside(event.records);
    if (event.type === 'engine') {
      const { engine, detail, stepMs, memoryBytes } = event.report;
      const timed = Object.entries(stepMs).map(([device, ms]) => [`${device}_step_ms`, ms] as const);
      const numbers = { ...Object.fromEntries(timed), ...(memoryBytes === null ? {} : { memory_bytes: memoryBytes }) };
      this.#events.publish({ type: 'learner_engine_opened', detail: `${engine} on ${detail}`, numbers });
    }
    if (event.type !== 'progress') return;
    const { progress } = event;
    if (progress.state !== this.#state) {
      this.#state = progress.state;
      this.#events.publish({ type: 'learner_state_changed', detail: progress.state });
    }
    // The difference is absolute, so that a clock that was set back does not silence the reports.
    const due = Math.abs(this.#now() - this.#reportedAtMs) >= progressEveryMs;
    if (!due && progress.rounds === this.#rounds) return;
    this.#rounds = progress.rounds;
    this.#reportedAtMs = this.#now();
    this.#events.publish({ type: 'learner_progress', numbers: figures(progress) });
  }

  /** An event for each record. Of very many, the last event counts those that are not named. */
  #publishSetAside(records: readonly SetAsideRecord[]): void {
    for (const { generationId, cause, reason } of records.slice(0, namedAtOnce)) {
      this.#events.publish({ type: 'record_set_aside', detail: describe(generationId, cause, reason) });
    }
    const unnamed = records.length - namedAtOnce;
    if (unnamed <= 0) return;
    const detail = `${unnamed} further records are set aside; hone explain gives the reason of each`;
    this.#events.publish({ type: 'record_set_aside', detail, numbers: { records: unnamed } });
  }
}

function describe(generationId: string, cause: string, reason: string): string {
  return `generation ${generationId} is set aside (${cause}): ${reason}`;
}

function figures(progress: LearnerProgress): Record<string, number> {
  const named: Readonly<Record<string, number | null | undefined>> = {
    steps: progress.steps,
    dropped_steps: progress.droppedSteps,
    rounds: progress.rounds,
    scores_seen: progress.scoresSeen,
    loss: progress.loss,
    mean_reward: progress.meanReward,
    kl_nats: progress.kl,
    below_mean_h_nats: progress.belowMeanH,
    gradient_norm: progress.gradientNorm,
    step_ms: progress.stepMs,
    processor_share: progress.processorShare,
  };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}
