/** The numbers of the last step and round: what status, events and candidates report. */

import type { StepReport } from './cycle.js';
import { countByStaleness } from './experience/staleness.js';
import type { LearnerProgress } from './types.js';

type Figures = Pick<
  LearnerProgress,
  'loss' | 'meanReward' | 'kl' | 'belowMeanH' | 'gradientNorm' | 'stepMs' | 'roundStaleness'
>;

export class RoundMeter {
  #reports: StepReport[] = [];
  #finished: readonly StepReport[] = [];
  #last: StepReport | null = null;
  #stepMs: number | null = null;
  #roundStaleness: readonly number[] = [];

  /** Counts a step into the round. */
  add(report: StepReport, stepMs: number): void {
    this.#reports.push(report);
    this.#last = report;
    this.#stepMs = stepMs;
  }

  /** Steps of the round in flight that moved the weights. */
  get appliedSteps(): number {
    return this.#reports.filter((report) => report.applied).length;
  }

  /** Ends the round; its means are reported until the next one has a step. */
  finishRound(liveVersion: number): void {
    this.#finished = this.#reports;
    const versions = this.#reports.flatMap(({ members }) => members.map(({ version }) => version));
    this.#roundStaleness = countByStaleness(versions, liveVersion);
    this.#reports = [];
  }

  /** Forgets everything: the weights are others now. */
  reset(): void {
    this.#reports = [];
    this.#finished = [];
    this.#last = null;
    this.#stepMs = null;
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

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

/** Mean over steps, weighted by their completions. */
function mean(reports: readonly StepReport[], of: (report: StepReport) => number | null): number | null {
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
