/**
 * Runs a reward process for the server: batches with a time limit, restarts with growing delays, checked answers.
 *
 * An answer counts as a whole or not at all. If a batch fails because the process hangs, crashes, throws or answers what is
 * no score, its completions are asked for again one by one, so that one of them does not affect the others. If the first
 * few that are asked for alone all fail, or the answer has a wrong shape, the program is at fault and not the completions:
 * then nothing counts as rated. A process that hangs is killed.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { checkMove, type Moves } from '../../checked-moves.js';
import { HoneError } from '../../errors.js';
import { Restarts } from '../../process/restarts.js';
import type { Rating, RewardedCompletion, RewardProcess, RewardStatus } from '../types.js';
import type { CheckedAnswer, ScoreScale } from './check-scores.js';
import type { RewardProgram } from './messages.js';
import { RewardChild } from './reward-child.js';

export interface RewardProcessOptions {
  readonly rater: string;
  readonly program: RewardProgram;
  /** The metric of its scores, and the range that they must be in. */
  readonly scale: ScoreScale;
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

type State = RewardStatus['state'];

const moves: Moves<State> = {
  starting: ['running', 'crashed', 'off'],
  running: ['starting', 'crashed', 'failed', 'off'],
  crashed: ['starting', 'failed', 'off'],
  failed: ['failed', 'running', 'starting', 'off'],
  off: ['off'],
};

/** Completions that are asked for alone, all without a rating, before the program is held to be at fault. */
const failuresInARow = 3;

class SupervisedReward implements RewardProcess {
  readonly rater: string;
  readonly #options: RewardProcessOptions;
  readonly #listeners: ((message: string) => void)[] = [];
  #child: RewardChild | undefined;
  /** All that have not ended yet, also those that were replaced. */
  readonly #children = new Set<RewardChild>();
  #state: State = 'starting';
  #restarted = 0;
  readonly #restarts: Restarts;
  /** Whether the process was ended on purpose, so that the next one starts at once. */
  #renewed = false;
  #failure: string | null = null;
  /** How often in a row the program was at fault. */
  #faults = 0;
  #digest: string | null = null;
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
    const { program, scale, startTimeoutMs = 120_000 } = this.#options;
    this.#digest = await digestOf(program);
    this.#closing.signal.throwIfAborted();
    const child = new RewardChild();
    this.#child = child;
    this.#children.add(child);
    void child.ended.then(() => this.#ended(child));
    try {
      await child.ask({ type: 'start', program, scale }, startTimeoutMs, (event) => {
        if (event.type === 'refused') throw HoneError.fromJSON(event.error);
        return event.type === 'ready' ? true : undefined;
      });
    } catch (thrown) {
      this.#child = undefined;
      child.kill();
      this.#closing.signal.throwIfAborted();
      const { code, message } = HoneError.from(thrown);
      if (code !== 'WORKER_CRASHED' && code !== 'DEADLINE_EXCEEDED') throw thrown;
      const remedy = 'correct it, or start without it';
      throw new HoneError('WORKER_CRASHED', `${this.#subject} ${message} while it was loaded; ${remedy}`);
    }
    this.#move('running');
  }

  rate(items: readonly RewardedCompletion[], suspects = false): Promise<readonly Rating[]> {
    const rated = this.#last.then(() => this.#rateAll(items, suspects));
    this.#last = rated.catch(() => undefined);
    return rated;
  }

  renew(): void {
    this.#last = this.#last.then(() => {
      const child = this.#child;
      if (child === undefined) return;
      this.#child = undefined;
      this.#renewed = true;
      child.kill();
    });
  }

  get digest(): string | null {
    return this.#digest;
  }

  async hasChanged(): Promise<boolean> {
    return (await digestOf(this.#options.program)) !== this.#digest;
  }

  async close(): Promise<void> {
    this.#closing.abort(new HoneError('CANCELLED', `${this.rater} is being closed`));
    this.#move('off');
    const children = [...this.#children];
    for (const child of children) child.kill();
    await Promise.all(children.map(({ ended }) => ended));
  }

  /** What messages call it: a person finds the file by its path. */
  get #subject(): string {
    const { program } = this.#options;
    return program.type === 'function'
      ? `the reward function ${program.module}`
      : `the reward model in ${program.directory}`;
  }

  async #rateAll(items: readonly RewardedCompletion[], suspects: boolean): Promise<readonly Rating[]> {
    const { batch = 16 } = this.#options;
    const ratings: Rating[] = items.map(() => ({ is: 'failed' }));
    // After a fault others come first, because those that came first may have been the only bad ones.
    const first = items.length === 0 ? 0 : (this.#faults * failuresInARow) % items.length;
    const order = items.map((_, i) => (first + i) % items.length);
    const limit = Math.min(failuresInARow, items.length);
    let hasRated = false;
    let failures = 0;
    const rate = async (places: readonly number[]): Promise<string | undefined> => {
      const answer = await this.#try(places.map((i) => items[i] as RewardedCompletion));
      if (typeof answer === 'string') return answer;
      for (const [k, i] of places.entries()) ratings[i] = { is: 'rated', score: answer[k] as number | null };
      hasRated = true;
      return undefined;
    };
    for (let from = 0; from < order.length; from += batch) {
      const part = order.slice(from, from + batch);
      if (part.length > 1 && (await rate(part)) === undefined) continue;
      for (const i of part) {
        const problem = await rate([i]);
        if (problem === undefined) continue;
        failures += 1;
        if (hasRated || failures < limit) continue;
        if (suspects) return ratings;
        throw this.#atFault(problem);
      }
    }
    if (hasRated) this.#faults = 0;
    return ratings;
  }

  /**
   * Returns the scores of a batch, or what went wrong with it.
   * @throws HoneError `WORKER_CRASHED` if the answer has a wrong shape, `CANCELLED` when closing, or why the process
   * cannot start
   */
  async #try(items: readonly RewardedCompletion[]): Promise<readonly (number | null)[] | string> {
    const child = await this.#ready();
    const { timeoutMs = 30_000 } = this.#options;
    const id = this.#nextId++;
    let answer: CheckedAnswer;
    try {
      answer = await child.ask({ type: 'score', id, items }, timeoutMs, (event) => {
        if (event.type === 'failed' && event.id === id) throw new HoneError('INTERNAL', `threw: ${event.message}`);
        return event.type === 'answered' && event.id === id ? event.answer : undefined;
      });
    } catch (thrown) {
      answer = { is: 'invalid', problem: withRemedy(HoneError.from(thrown)) };
    }
    this.#closing.signal.throwIfAborted();
    if (answer.is === 'misshapen') throw this.#atFault(answer.problem);
    if (answer.is === 'invalid') {
      this.#failed(answer.problem);
      return answer.problem;
    }
    this.#restarts.succeeded();
    if (this.#state === 'failed') this.#move('running');
    return answer.scores;
  }

  /** Returns the process, after a restart if it has ended. */
  async #ready(): Promise<RewardChild> {
    this.#closing.signal.throwIfAborted();
    if (this.#child !== undefined) return this.#child;
    if (!this.#renewed) {
      await this.#pause(this.#restarts.delayAfter());
      this.#restarted += 1;
    }
    this.#renewed = false;
    this.#move('starting');
    try {
      await this.start();
    } catch (thrown) {
      this.#closing.signal.throwIfAborted();
      this.#move('crashed');
      const { code, message } = HoneError.from(thrown);
      this.#failure = `${this.#subject} cannot be started again: ${message}`;
      throw new HoneError(code, this.#failure);
    }
    if (this.#child === undefined) {
      throw new HoneError('WORKER_CRASHED', `${this.#subject} ended its process right after its start`);
    }
    return this.#child;
  }

  #ended(child: RewardChild): void {
    this.#children.delete(child);
    if (this.#child !== child) return;
    this.#child = undefined;
    if (this.#closing.signal.aborted || this.#state === 'starting') return;
    if (this.#state === 'running') this.#move('crashed');
    if (child.endedUnasked) this.#failed(`${child.ending} while it had nothing to do`);
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

  /** Notes that the program is at fault, and returns the error. */
  #atFault(problem: string): HoneError {
    this.#faults += 1;
    this.#move('failed');
    this.#failure = `${this.#subject} ${problem}`;
    return new HoneError(
      'WORKER_CRASHED',
      `${this.#failure}; no completion counts as seen: correct it, and it is asked for all of them again`,
    );
  }

  #failed(problem: string): void {
    this.#failure = `${this.#subject} ${problem}`;
    for (const listener of this.#listeners) listener(this.#failure);
  }

  #move(to: State): void {
    checkMove(`the process of ${this.rater}`, moves, this.#state, to);
    this.#state = to;
  }
}

function withRemedy({ code, message }: HoneError): string {
  if (code === 'DEADLINE_EXCEEDED') return `${message}; it must answer faster, or get more time (--reward-timeout-ms)`;
  if (code === 'WORKER_CRASHED') return `${message}; it must neither end its process nor leave an error uncaught`;
  return message;
}

/** SHA-256 of a function's module; `null` for a model, and for a file that cannot be read. */
async function digestOf(program: RewardProgram): Promise<string | null> {
  if (program.type === 'model') return null;
  const bytes = await readFile(program.module).catch(() => null);
  return bytes === null ? null : createHash('sha256').update(bytes).digest('hex');
}
