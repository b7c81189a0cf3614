/** Keeps an inference worker running. If it crashes, it is restarted after a pause, until it has crashed too often. */

import { HoneError } from '../errors.js';
import type { StepMessage, WorkerSettings } from './messages.js';
import { WorkerHandle } from './worker-handle.js';

/** Pauses before successive restarts without a step in between. After the last one the keeper gives up. */
const restartPausesMs = [0, 100, 1000, 5000, 15_000];

interface WorkerKeeperOptions {
  /** The first worker. Default: a new one. */
  readonly worker?: WorkerHandle | undefined;
  /** Starts another worker. Default: a thread of this process. */
  readonly newWorker?: () => WorkerHandle;
  /** Returns the settings of a worker that is about to open. */
  readonly settings: () => WorkerSettings;
  readonly onStep: (message: StepMessage) => void;
  /** Called after a crash, before the restart. */
  readonly onCrash: (error: HoneError) => void;
  /** Called once, when the worker has crashed too often. */
  readonly onFailed: (error: HoneError) => void;
}

export class WorkerKeeper {
  readonly #options: WorkerKeeperOptions;
  readonly #newWorker: () => WorkerHandle;
  #worker: WorkerHandle;
  #state: 'serving' | 'restarting' | 'failed' | 'closing' = 'serving';
  /** Restarts since the last step. */
  #restarts = 0;
  #restarted: Promise<void> = Promise.resolve();

  constructor(options: WorkerKeeperOptions) {
    this.#options = options;
    this.#newWorker = options.newWorker ?? (() => new WorkerHandle());
    this.#worker = options.worker ?? this.#newWorker();
  }

  /** The present worker, which may be dead or starting. */
  get worker(): WorkerHandle {
    return this.#worker;
  }

  get serving(): boolean {
    return this.#state === 'serving';
  }

  /** Resolves when the restart in progress has succeeded or failed. */
  get restarted(): Promise<void> {
    return this.#restarted;
  }

  /** Resolves when the first worker serves. @throws HoneError the reason why it cannot start */
  open(): Promise<void> {
    return this.#openWorker();
  }

  /** @throws HoneError `DRAINING`, `WORKER_CRASHED` */
  checkServing(): void {
    switch (this.#state) {
      case 'closing':
        throw new HoneError('DRAINING', 'the policy is closing');
      case 'restarting':
        throw new HoneError('WORKER_CRASHED', 'the inference worker is restarting', { retryAfterMs: 1000 });
      case 'failed':
        throw crashedTooOften();
      case 'serving':
        return;
    }
  }

  /** Lets running requests end, then ends the worker. */
  close(): Promise<void> {
    this.#state = 'closing';
    return this.#worker.close();
  }

  #openWorker(): Promise<void> {
    return this.#worker.open(this.#options.settings(), {
      onStep: (message) => {
        this.#restarts = 0;
        this.#options.onStep(message);
      },
      onCrash: (error) => {
        this.#state = 'restarting';
        this.#options.onCrash(error);
        this.#restarted = this.#restart();
      },
    });
  }

  async #restart(): Promise<void> {
    while (this.#state === 'restarting') {
      const pause = restartPausesMs[this.#restarts++];
      if (pause === undefined) {
        this.#state = 'failed';
        this.#options.onFailed(crashedTooOften());
        return;
      }
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.#state !== 'restarting') return;
      this.#worker = this.#newWorker();
      try {
        await this.#openWorker();
        if (this.#state === 'restarting') this.#state = 'serving';
      } catch {
        // The next attempt waits longer.
      }
    }
  }
}

function crashedTooOften(): HoneError {
  return new HoneError('WORKER_CRASHED', 'the inference worker crashed repeatedly; restart the server');
}
