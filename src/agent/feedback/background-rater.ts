/**
 * An automatic rater: scores every finished, stored completion with a reward model or a user's function.
 *
 * It follows the store by sequence number and keeps its place over restarts. A completion counts as seen only once the
 * rater has answered for it, with a score or with none. If the rater is at fault, the place stays where it is. If it fails
 * on some completions alone, they are set aside: the place moves on, and they are asked for again when the server starts
 * or the function's file has changed. Its scores are feedback like any other. The computing is done by another process, at
 * the lowest priority.
 */

import { HoneError } from '../../errors.js';
import { Restarts } from '../../process/restarts.js';
import type { Generation, ReplayReader, ReplayStore } from '../../replay/index.js';
import type { Rating, RewardedCompletion, RewardProcess, RewardStatus } from '../../reward/index.js';
import type { EventLog } from '../events/event-log.js';
import { readPlace, writePlace } from './rater-place.js';
import type { FeedbackInput, FeedbackResult } from './types.js';

/** The model or function that rates, and the file that keeps its place. */
export interface RaterOptions {
  readonly model: RewardProcess;
  /** Metric of its scores. */
  readonly metric: string;
  /** Reads the store. Its calls block the event loop, so each reads little. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  /** File that keeps its place in the store, and the completions that are set aside. */
  readonly placePath: string;
  /** Wait after a fault, milliseconds; it doubles with each in a row, up to a minute. Default 5000. */
  readonly retryAfterMs?: number;
  /** While completions are set aside: milliseconds between two looks at the function's file. Default 60 000. */
  readonly lookAfterMs?: number;
}

export interface RaterStatus extends RewardStatus {
  readonly rater: string;
  readonly metric: string;
  /** Number of completions that it scored since the server started. */
  readonly scored: number;
  /** Number of completions for which it answered that it has no score, since the server started. */
  readonly unscored: number;
  /** Number of completions on which it failed. They are asked for again. */
  readonly setAside: number;
  /** Number of changes of the store that it has not read yet. */
  readonly behind: number;
}

interface RaterParts {
  readonly replay: Pick<ReplayStore, 'readGenerations' | 'readScores'>;
  readonly take: (items: readonly FeedbackInput[]) => Promise<readonly FeedbackResult[]>;
  readonly events: Pick<EventLog, 'publish'>;
  readonly now: () => number;
}

/** Most changes that are read at once. */
const changesPerRead = 256;
/** Most completions that are scored, and whose scores are written, at once. */
const completionsPerWrite = 32;
/** Most completions that may be set aside: if there are more, the rater is at fault and not the completions. */
const maxSetAside = 1000;
/** Longest wait after a fault. */
const longestRetryMs = 60_000;
/** Minimum time between two events about the same failure. */
const repeatEventMs = 600_000;
/** Failures that are remembered, so that they are not reported again at once. */
const failuresRemembered = 32;

/** Rates until it is closed; one per model. */
export class BackgroundRater {
  readonly #options: RaterOptions;
  readonly #parts: RaterParts;
  readonly #closing = new AbortController();
  #place = 0;
  /** The last change of the store that is known of. */
  #known = 0;
  #scored = 0;
  #unscored = 0;
  /** Completions on which the rater failed. */
  #setAside = new Set<string>();
  /** Those of them that are to be asked for again now. */
  #again: string[] = [];
  /** Digest of the function that was last asked for all of them. */
  #askedBy: string | null = null;
  /** Why it rates no more, although its process runs; `null` while it rates. */
  #stopped: string | null = null;
  readonly #retries: Restarts;
  #asleep = false;
  #wake: (() => void) | undefined;
  /** When each failure was reported, milliseconds since 1970. */
  readonly #reported = new Map<string, number>();
  readonly #ended: Promise<void>;

  constructor(options: RaterOptions, parts: RaterParts) {
    this.#options = options;
    this.#parts = parts;
    this.#retries = new Restarts({ firstMs: options.retryAfterMs ?? 5000, longestMs: longestRetryMs });
    options.model.onFailure((problem) => this.#report(problem));
    this.#ended = this.#run();
  }

  get status(): RaterStatus {
    const { model, metric } = this.#options;
    return {
      rater: model.rater,
      metric,
      ...model.status,
      ...(this.#stopped === null ? {} : { state: 'failed', failure: this.#stopped }),
      scored: this.#scored,
      unscored: this.#unscored,
      setAside: this.#setAside.size,
      behind: this.#asleep ? 0 : Math.max(0, this.#lastSequence() - this.#place),
    };
  }

  /** The last number that could be read: a store that fails must not take the status with it. */
  #lastSequence(): number {
    try {
      this.#known = this.#options.reader.lastSequence();
    } catch {
      // The rating itself reports the failure.
    }
    return this.#known;
  }

  /** Call when there are new generations in the store. */
  changed(): void {
    this.#asleep = false;
    this.#wake?.();
  }

  /** Ends after the write in flight. The next start scores what is not scored yet. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new HoneError('CANCELLED', 'the server is stopping'));
    this.changed();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { reader } = this.#options;
    const { signal } = this.#closing;
    let known = false;
    while (!signal.aborted) {
      try {
        if (!known) await this.#findPlace();
        known = true;
        const changes = reader.readSince(this.#place, changesPerRead);
        const last = changes.at(-1);
        if (last === undefined) {
          if (!(await this.#rateAgain())) await this.#sleep();
          continue;
        }
        const ids = changes.flatMap((change) => (change.type === 'generation' ? [change.generationId] : []));
        for (let from = 0; from < ids.length; from += completionsPerWrite) {
          const part = ids.slice(from, from + completionsPerWrite);
          await this.#rate(part.filter((id) => !this.#setAside.has(id)));
        }
        this.#place = last.sequence;
        if (ids.length > 0) await this.#keepPlace();
        this.#retries.succeeded();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#report(HoneError.from(thrown).message);
        await this.#pause(this.#retries.delayAfter());
      }
    }
  }

  /**
   * Rates completions. If it throws, nothing is known of any of them.
   * @param suspects whether the rater failed on them before
   * @returns whether it failed on all that it was asked for
   */
  async #rate(ids: readonly string[], suspects = false): Promise<boolean> {
    const { model, metric } = this.#options;
    const { replay, take } = this.#parts;
    const generations = (await replay.readGenerations(ids)).filter(isRated);
    const standing = await replay.readScores(generations.map(({ id }) => id));
    const done = new Set(
      standing
        .filter((score) => score.rater === model.rater && score.metric === metric)
        .map(({ generationId }) => generationId),
    );
    const open = generations.filter(({ id }) => !done.has(id));
    const ratings = open.length === 0 ? [] : await this.#ask(open, suspects);
    const failed = new Set(open.flatMap(({ id }, i) => (ratings[i]?.is === 'rated' ? [] : [id])));
    this.#checkRoom([...failed].filter((id) => !this.#setAside.has(id)).length);
    const items = open.flatMap(({ id }, i): FeedbackInput[] => {
      const rating = ratings[i];
      return rating?.is !== 'rated' || rating.score === null
        ? []
        : [{ generationId: id, score: rating.score, rater: model.rater, metric }];
    });
    // Items whose generation was erased meanwhile are refused.
    const results = items.length === 0 ? [] : await take(items);
    this.#scored += results.filter(({ status }) => status !== 'refused').length;
    this.#unscored += open.length - failed.size - items.length;
    for (const id of ids) {
      if (failed.has(id)) this.#setAside.add(id);
      else this.#setAside.delete(id);
    }
    return open.length > 0 && failed.size === open.length;
  }

  /** @throws HoneError `WORKER_CRASHED` if no more completions can be set aside */
  #checkRoom(more: number): void {
    this.#stopped = null;
    if (this.#setAside.size + more <= maxSetAside) return;
    const { model } = this.#options;
    const { failure } = model.status;
    model.renew();
    this.#stopped = `it failed on more than ${maxSetAside} completions, the last time because: ${failure}; correct it`;
    throw new HoneError('WORKER_CRASHED', this.#stopped);
  }

  /** Asks the rater. If it is at fault, the next batch runs in a new process, which loads the program again. */
  async #ask(generations: readonly Generation[], suspects: boolean): Promise<readonly Rating[]> {
    const { model } = this.#options;
    try {
      return await this.#unlessClosed(model.rate(generations.map(toItem), suspects));
    } catch (thrown) {
      this.#closing.signal.throwIfAborted();
      model.renew();
      throw thrown;
    }
  }

  /** Asks again for some of the completions that were set aside. Returns whether there were any to ask for. */
  async #rateAgain(): Promise<boolean> {
    if (this.#again.length === 0) return false;
    const ids = this.#again.splice(0, completionsPerWrite);
    try {
      // If it fails on all of them, those that have not been asked for stay set aside as well.
      if (await this.#rate(ids, true)) this.#again = [];
    } catch (thrown) {
      this.#again = [];
      throw thrown;
    } finally {
      if (this.#again.length === 0) this.#askedBy = this.#options.model.digest;
    }
    await this.#keepPlace();
    return true;
  }

  async #unlessClosed<Value>(value: Promise<Value>): Promise<Value> {
    const { signal } = this.#closing;
    let onAbort = (): void => undefined;
    const closed = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort);
    });
    return Promise.race([value, closed]).finally(() => signal.removeEventListener('abort', onAbort));
  }

  async #findPlace(): Promise<void> {
    const { placePath, reader, model } = this.#options;
    this.#askedBy = model.digest;
    const { sequence, setAside } = await readPlace(placePath);
    // A place beyond the end belongs to another store.
    if (sequence > reader.lastSequence()) return;
    this.#place = sequence;
    this.#setAside = new Set(setAside);
    this.#again = [...setAside];
  }

  async #keepPlace(): Promise<void> {
    await writePlace(this.#options.placePath, { sequence: this.#place, setAside: [...this.#setAside] });
  }

  /** Sleeps until there is something new, or, while completions are set aside, until the function's file has changed. */
  async #sleep(): Promise<void> {
    this.#asleep = true;
    if (this.#setAside.size === 0) {
      await this.#pause();
      return;
    }
    const { model, lookAfterMs = 60_000 } = this.#options;
    if (model.digest === this.#askedBy) {
      await this.#pause(lookAfterMs, true);
      if (this.#closing.signal.aborted || !(await model.hasChanged())) return;
      model.renew();
    }
    this.#again = [...this.#setAside];
  }

  /**
   * Resolves after `ms` milliseconds, when the rater is closed, and, if it may be woken, when there is something new.
   * @param ms default: without limit
   */
  async #pause(ms?: number, mayWake = ms === undefined): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        if (!mayWake && !this.#closing.signal.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #report(problem: string): void {
    const { events, now } = this.#parts;
    const atMs = now();
    const before = this.#reported.get(problem);
    if (before !== undefined && Math.abs(atMs - before) < repeatEventMs) return;
    const [oldest] = this.#reported.keys();
    if (this.#reported.size >= failuresRemembered && oldest !== undefined) this.#reported.delete(oldest);
    this.#reported.set(problem, atMs);
    events.publish({ type: 'rater_failed', detail: `${this.#options.model.rater}: ${problem}` });
  }
}

/**
 * Completions that came to their own end. An edit is not rated, because it has the score of the person who wrote it.
 */
function isRated({ state, origin }: Generation): boolean {
  return state === 'finished' && origin !== 'edit';
}

function toItem({ promptTokens, promptJson, tokens, text }: Generation): RewardedCompletion {
  return { promptTokens: [...promptTokens], promptJson, tokens: [...tokens], text };
}
