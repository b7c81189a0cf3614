/**
 * Runs a reward process for the server: batches with a time limit, restarts with growing delays, checked answers.
 *
 * If a batch fails because the process hangs, crashes or throws, its completions are scored again one by one, so that one
 * bad completion does not affect the others. A completion that fails alone gets no score. A process that hangs is killed.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { HoneError } from '../../errors.js';
import { Restarts } from '../../process/restarts.js';
import type { RewardedCompletion, RewardProcess, RewardStatus } from '../types.js';
import { checkScores } from './check-scores.js';
import type { RewardCommand, RewardEvent, RewardProgram } from './messages.js';

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

/** Characters of standard error that a failure message quotes. */
const stderrKept = 500;

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

interface Running {
  readonly child: ChildProcess;
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>;
}

class SupervisedReward implements RewardProcess {
  readonly rater: string;
  readonly #options: RewardProcessOptions;
  readonly #listeners: ((message: string) => void)[] = [];
  #running: Running | undefined;
  #state: RewardStatus['state'] = 'starting';
  #restarted = 0;
  readonly #restarts: Restarts;
  #failure: string | null = null;
  /** The last batch; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #next = 0;
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
    // Not detached, because the nice value has effect only within the scheduling group of a session, as for the learner.
    const child = fork(new URL('./process.js', import.meta.url), {
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const gone = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      // A process that could not be started emits no `close`. One that cannot receive a message is killed.
      child.once('error', () => {
        child.kill('SIGKILL');
        if (child.pid === undefined) resolve();
      });
    });
    const running = { child, gone };
    this.#running = running;
    void gone.then(() => {
      if (this.#running === running) this.#running = undefined;
    });
    await this.#ask(running, { type: 'start', program }, startTimeoutMs, (event) => {
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
    this.#running?.child.kill('SIGKILL');
    await this.#running?.gone;
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
    const running = await this.#ready();
    const { timeoutMs = 30_000 } = this.#options;
    const id = this.#next++;
    try {
      const answer = await this.#ask(running, { type: 'score', id, items }, timeoutMs, (event) => {
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
  async #ready(): Promise<Running> {
    this.#closing.signal.throwIfAborted();
    if (this.#running !== undefined) return this.#running;
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
    if (this.#running === undefined) throw new HoneError('WORKER_CRASHED', `${this.rater} ended right after its start`);
    return this.#running;
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

  /** Sends a command and waits for the event that `answer` accepts. A process that does not answer in time is killed. */
  #ask<Answer>(
    { child }: Running,
    command: RewardCommand,
    timeoutMs: number,
    answer: (event: RewardEvent) => Answer | undefined,
  ): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      let stderr = '';
      let late = false;
      const hearError = (text: Buffer): void => {
        stderr = (stderr + text.toString('utf8')).slice(-stderrKept);
      };
      const timer = setTimeout(() => {
        late = true;
        child.kill('SIGKILL');
      }, timeoutMs);
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        child.off('message', hear);
        child.off('close', ended);
        child.stderr?.off('data', hearError);
        // Unread output would fill the pipe and block the process.
        child.stderr?.resume();
        end();
      };
      const hear = (event: RewardEvent): void => {
        try {
          const value = answer(event);
          if (value !== undefined) settle(() => resolve(value));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const ended = (): void =>
        settle(() => {
          const how = child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
          const said = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
          const message = late ? `gave no answer within ${timeoutMs} ms and was killed` : `ended (${how})${said}`;
          reject(new HoneError('WORKER_CRASHED', message));
        });
      child.on('message', hear);
      child.once('close', ended);
      child.stderr?.on('data', hearError);
      child.send(command, () => undefined);
    });
  }

  #failed(problem: string): void {
    this.#failure = problem;
    for (const listener of this.#listeners) listener(problem);
  }
}
