/** Keeps the figures of the last step and round, which status, events and candidates show. */

import { countByStaleness } from '../experience/staleness.js';
import type { LearnerProgress } from '../process/status.js';
import type { StepReport } from './step.js';

type Figures = Pick<
  LearnerProgress,
  'loss' | 'meanReward' | 'kl' | 'belowMeanH' | 'gradientNorm' | 'stepMs' | 'roundStaleness'
>;

/** What the meter keeps of a step; plain JSON, which turns a number that is not finite into null. */
interface StepSummary {
  readonly rows: number;
  readonly applied: boolean;
  readonly loss: number | null;
  readonly meanReward: number | null;
  readonly kl: number | null;
  readonly belowMeanH: number | null;
  readonly gradientNorm: number | null;
  /** Versions that wrote the completions used. */
  readonly versions: readonly number[];
}

/** What a checkpoint keeps, so that a round that was interrupted ends with the figures of a whole one. */
export interface MeterState {
  readonly round: readonly StepSummary[];
  readonly finished: readonly StepSummary[];
}

export class RoundMeter {
  #reports: StepSummary[] = [];
  #finished: readonly StepSummary[] = [];
  #last: StepSummary | null = null;
  #stepMs: number | null = null;
  #roundStaleness: readonly number[] = [];

  /** Adds a step to the open round. */
  add(report: StepReport, stepMs: number): void {
    const { rows, applied, loss, meanReward, kl, belowMeanH, gradientNorm, members } = report;
    const versions = members.map(({ version }) => version);
    this.#last = { rows, applied, loss, meanReward, kl, belowMeanH, gradientNorm, versions };
    this.#reports.push(this.#last);
    this.#stepMs = stepMs;
  }

  /** Steps of the open round. */
  get steps(): number {
    return this.#reports.length;
  }

  state(): MeterState {
    return { round: this.#reports, finished: this.#finished };
  }

  restore({ round, finished }: MeterState): void {
    this.#reports = [...round];
    this.#finished = finished;
    this.#last = round.at(-1) ?? finished.at(-1) ?? null;
  }

  /** Steps of the open round that moved the weights. */
  get appliedSteps(): number {
    return this.#reports.filter((report) => report.applied).length;
  }

  /** Whether the last step of the open round moved the weights. */
  get lastApplied(): boolean {
    return this.#reports.at(-1)?.applied ?? false;
  }

  /** Ends the round. Its means are shown until the next round has a step. */
  finishRound(liveVersion: number): void {
    this.#finished = this.#reports;
    const versions = this.#reports.flatMap((report) => report.versions);
    this.#roundStaleness = countByStaleness(versions, liveVersion);
    this.#reports = [];
  }

  /** Forgets everything, because other weights are in training now. */
  reset(): void {
    this.#reports = [];
    this.#finished = [];
    this.#last = null;
    this.#stepMs = null;
  }

  /** The metrics of a candidate. */
  metrics(): Record<string, number | null> {
    const { loss, meanReward, kl, belowMeanH } = this.figures();
    return { loss, mean_reward: meanReward, kl, below_mean_h: belowMeanH };
  }

  /** Loss, gradient norm and time of the last step; reward, KL and belowMeanH over the last round. */
  figures(): Figures {
    const round = (this.#reports.length > 0 ? this.#reports : this.#finished).filter((report) => report.applied);
    return {
      loss: finite(this.#last?.loss),
      meanReward: mean(round, (report) => report.meanReward),
      kl: mean(round, (report) => report.kl),
      belowMeanH: mean(round, (report) => report.belowMeanH),
      gradientNorm: finite(this.#last?.gradientNorm),
      stepMs: this.#stepMs,
      roundStaleness: this.#roundStaleness,
    };
  }
}

function finite(value: number | null | undefined): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Mean over steps, weighted by their completions. */
function mean(reports: readonly StepSummary[], of: (report: StepSummary) => number | null): number | null {
  let sum = 0;
  let rows = 0;
  for (const report of reports) {
    const value = of(report);
    if (value === null) continue;
    sum += value * report.rows;
    rows += report.rows;
  }
  return rows === 0 ? null : sum / rows;
}
