/**
 * Runs a reward process for the server: batches with a time limit, restarts with growing delays, checked answers.
 *
 * If a batch fails because the process hangs, crashes or throws, its completions are scored again one by one, so that one
 * bad completion does not affect the others. A completion that fails alone gets no score. A process that hangs is killed.
 */

import { HoneError } from '../../errors.js';
import { Restarts } from '../../process/restarts.js';
import type { RewardedCompletion, RewardProcess, RewardStatus } from '../types.js';
import { checkScores } from './check-scores.js';
import type { RewardProgram } from './messages.js';
import { RewardChild } from './reward-child.js';

export interface RewardProcessOptions {
  readonly rater: string;
  readonly program: RewardProgram;
  /** Time limit of a batch. Default 30 000. */
  readonly timeoutMs?: number;
  /** Time limit of the start. Default 120 000. */
  readonly startTimeoutMs?: number;
  /** Largest number of completions in a batch. Default 16. */
  readonly batch?: number;
  /** Delay before the first restart; it doubles with each that follows, up to a minute. Default 1000. */
  readonly restartAfterMs?: number;
  /** Ends the process while it starts. */
  readonly signal?: AbortSignal;
}

/**
 * Starts the process; it is ready when this resolves.
 * @throws HoneError `PACKAGE_INVALID` or `INVALID_OPTIONS` if the model or the function is refused, `WORKER_CRASHED` if
 * the process ends or takes too long, `CANCELLED` if the signal aborts the start
 */
export async function startRewardProcess(options: RewardProcessOptions): Promise<RewardProcess> {
  const process = new SupervisedReward(options);
  const { signal } = options;
  const stop = (): void => void process.close();
  signal?.addEventListener('abort', stop);
  try {
    if (signal?.aborted) throw new HoneError('CANCELLED', `the start of ${options.rater} was aborted`);
    await process.start();
    return process;
  } catch (error) {
    await process.close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

class SupervisedReward implements RewardProcess {
  readonly rater: string;
  readonly #options: RewardProcessOptions;
  readonly #listeners: ((message: string) => void)[] = [];
  #child: RewardChild | undefined;
  #state: RewardStatus['state'] = 'starting';
  #restarted = 0;
  readonly #restarts: Restarts;
  #failure: string | null = null;
  /** The last batch; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #nextId = 0;
  readonly #closing = new AbortController();

  constructor(options: RewardProcessOptions) {
    this.#options = options;
    this.rater = options.rater;
    this.#restarts = new Restarts({ firstMs: options.restartAfterMs ?? 1000, longestMs: 60_000 });
  }

  get status(): RewardStatus {
    return { state: this.#state, restarts: this.#restarted, failure: this.#failure };
  }

  onFailure(listener: (message: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Part of {@link startRewardProcess}. */
  async start(): Promise<void> {
    const { program, startTimeoutMs = 120_000 } = this.#options;
    this.#state = 'starting';
    const child = new RewardChild();
    this.#child = child;
    void child.ended.then(() => {
      if (this.#child === child) this.#child = undefined;
    });
    await child.ask({ type: 'start', program }, startTimeoutMs, (event) => {
      if (event.type === 'refused') throw HoneError.fromJSON(event.error);
      return event.type === 'ready' ? true : undefined;
    });
    this.#state = 'running';
  }

  score(items: readonly RewardedCompletion[]): Promise<readonly (number | null)[]> {
    const scored = this.#last.then(() => this.#scoreAll(items));
    this.#last = scored.catch(() => undefined);
    return scored;
  }

  async close(): Promise<void> {
    this.#closing.abort(new HoneError('CANCELLED', `${this.rater} is being closed`));
    this.#state = 'off';
    this.#child?.kill();
    await this.#child?.ended;
  }

  async #scoreAll(items: readonly RewardedCompletion[]): Promise<(number | null)[]> {
    const { batch = 16 } = this.#options;
    const scores: (number | null)[] = [];
    for (let from = 0; from < items.length; from += batch) {
      const part = items.slice(from, from + batch);
      const answers = await this.#try(part);
      if (answers !== undefined) scores.push(...answers);
      else if (part.length === 1) scores.push(null);
      else for (const item of part) scores.push(...((await this.#try([item])) ?? [null]));
    }
    return scores;
  }

  /** @returns `undefined` if the batch failed. @throws HoneError `CANCELLED` when closing, or why the process cannot start */
  async #try(items: readonly RewardedCompletion[]): Promise<readonly (number | null)[] | undefined> {
    const child = await this.#ready();
    const { timeoutMs = 30_000 } = this.#options;
    const id = this.#nextId++;
    try {
      const answer = await child.ask({ type: 'score', id, items }, timeoutMs, (event) => {
        if (event.type === 'failed' && event.id === id) throw new HoneError('INTERNAL', `threw: ${event.message}`);
        return event.type === 'scores' && event.id === id ? { scores: event.scores } : undefined;
      });
      const { scores, problem } = checkScores(answer.scores, items.length);
      if (problem !== undefined) this.#failed(problem);
      else this.#restarts.succeeded();
      return scores;
    } catch (thrown) {
      this.#closing.signal.throwIfAborted();
      this.#failed(HoneError.from(thrown).message);
      return undefined;
    }
  }

  /** Returns the process, after a restart if it has ended. */
  async #ready(): Promise<RewardChild> {
    this.#closing.signal.throwIfAborted();
    if (this.#child !== undefined) return this.#child;
    this.#state = 'crashed';
    await this.#pause(this.#restarts.delayAfter());
    this.#restarted += 1;
    try {
      await this.start();
    } catch (thrown) {
      this.#closing.signal.throwIfAborted();
      this.#state = 'crashed';
      const error = HoneError.from(thrown);
      this.#failed(`cannot be started again: ${error.message}`);
      throw error;
    }
    if (this.#child === undefined) throw new HoneError('WORKER_CRASHED', `${this.rater} ended right after its start`);
    return this.#child;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, ms);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
    signal.throwIfAborted();
  }

  #failed(problem: string): void {
    this.#failure = problem;
    for (const listener of this.#listeners) listener(problem);
  }
}
