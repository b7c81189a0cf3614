/** Watches whether the learner's process gets processor time, and says so when it gets too little. */

import { processorTimeOf } from '../../process/processor-time.js';
import type { LearnerEvent } from './messages.js';
import { ProcessorShare, type ProcessorShareOptions, type ShareChange } from './processor-share.js';
import type { LearnerProgress, LearnerState } from './status.js';

export interface StarvationOptions extends ProcessorShareOptions {
  /** Whether the processor computes the steps, as far as the settings tell. The process reports the device later. */
  readonly onProcessor: boolean;
  /** Milliseconds between two looks at the process. Default 5000. */
  readonly lookEveryMs?: number;
  readonly emit: (event: LearnerEvent) => void;
}

/** What status shows of it. */
export interface StarvationStatus {
  readonly processorShare?: number;
  /** What the learner lacks, and what to do; null if it lacks nothing. */
  readonly starvedBecause: string | null;
}

const usualLookEveryMs = 5000;
/** States in which the process computes. In the others it waits for something. */
const computing: readonly LearnerState[] = ['starting', 'training', 'stopping'];

export class StarvationWatch {
  readonly #options: StarvationOptions;
  readonly #share: ProcessorShare;
  #pid: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #onProcessor: boolean;
  #state: LearnerState = 'starting';
  #stepMs: number | null = null;

  constructor(options: StarvationOptions) {
    this.#options = options;
    this.#onProcessor = options.onProcessor;
    this.#share = new ProcessorShare(options);
  }

  get status(): StarvationStatus {
    const { cores } = this.#share;
    return {
      ...(cores === null ? {} : { processorShare: cores }),
      starvedBecause: this.#share.starves ? this.#words() : null,
    };
  }

  /** Watches a process that has just been started. */
  begin(pid: number | undefined): void {
    this.end();
    this.#pid = pid;
    this.#state = 'starting';
    this.#timer = setInterval(() => this.#look(null), this.#options.lookEveryMs ?? usualLookEveryMs).unref();
    this.#look(null);
  }

  /** The process has ended. */
  end(): void {
    clearInterval(this.#timer);
    this.#pid = undefined;
    this.#report(this.#share.forget());
  }

  /** The process computes steps on this device. If that is another one, the processor has little to do. */
  opened(device: string): void {
    this.#onProcessor = this.#options.onProcessor || device === 'cpu';
  }

  /** The process has reported. */
  reported({ state, stepMs, processorMs }: Pick<LearnerProgress, 'state' | 'stepMs' | 'processorMs'>): void {
    this.#state = state;
    this.#stepMs = stepMs;
    this.#look(processorMs ?? null);
  }

  /** @param reportedMs what the process itself knows, for systems on which nobody else can read it */
  #look(reportedMs: number | null): void {
    if (this.#pid === undefined) return;
    const processorMs = processorTimeOf(this.#pid)?.ownMs ?? reportedMs;
    this.#report(this.#share.see(processorMs, this.#onProcessor && computing.includes(this.#state)));
  }

  #report(change: ShareChange): void {
    if (change === null) return;
    const { cores } = this.#share;
    const numbers = {
      ...(cores === null ? {} : { processor_share: cores }),
      ...(this.#stepMs === null ? {} : { step_ms: this.#stepMs }),
    };
    if (change === 'starved') this.#options.emit({ type: 'starved', message: this.#words(), numbers });
    else this.#options.emit({ type: 'recovered', message: this.#recovery(), numbers });
  }

  #words(): string {
    const { cores } = this.#share;
    const step = this.#stepMs === null ? '' : `, a step takes ${(this.#stepMs / 1000).toFixed(1)} s`;
    return `${activityOf(this.#state)} gets ${percentOf(cores)} of a core${step}: it runs only in the time that serving and other programs leave; leave it a core (--threads), send fewer requests, or move the other program`;
  }

  #recovery(): string {
    const { cores } = this.#share;
    if (cores === null) return 'the learner has nothing to compute now';
    return `${activityOf(this.#state)} gets ${percentOf(cores)} of a core again`;
  }
}

function activityOf(state: LearnerState): string {
  return state === 'starting' ? 'the start of the learner' : 'training';
}

function percentOf(cores: number | null): string {
  return `${Math.round((cores ?? 0) * 100)} %`;
}
