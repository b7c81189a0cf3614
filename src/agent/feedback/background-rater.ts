/**
 * An automatic rater: scores every finished, stored completion with a reward model or a user's function.
 *
 * It follows the store by sequence number and keeps its place over restarts. Its scores are feedback like any other.
 * The computing is done by another process, at the lowest priority.
 */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import type { Generation, ReplayReader, ReplayStore } from '../../replay/index.js';
import type { RewardedCompletion, RewardProcess, RewardStatus } from '../../reward/index.js';
import { writeFileDurably } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { FeedbackInput, FeedbackResult } from './types.js';

/** The model or function that rates, and the file that keeps its place. */
export interface RaterOptions {
  readonly model: RewardProcess;
  /** Metric of its scores. */
  readonly metric: string;
  /** Reads the store. Its calls block the event loop, so each reads little. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  /** File that keeps the last sequence number that was rated. */
  readonly placePath: string;
}

export interface RaterStatus extends RewardStatus {
  readonly rater: string;
  readonly metric: string;
  /** Number of completions that it scored since the server started. */
  readonly scored: number;
  /** Number of completions without a score: it gave none, or its answer was not a score. */
  readonly unscored: number;
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
/** Wait after the model could not be started or the store refused scores. */
const retryMs = 5000;
/** Minimum time between two events about the same failure. */
const repeatEventMs = 60_000;

/** Rates until it is closed; one per model. */
export class BackgroundRater {
  readonly #options: RaterOptions;
  readonly #parts: RaterParts;
  readonly #closing = new AbortController();
  #place = 0;
  #scored = 0;
  #unscored = 0;
  #asleep = false;
  #wake: (() => void) | undefined;
  #reported: { readonly problem: string; readonly atMs: number } | undefined;
  readonly #ended: Promise<void>;

  constructor(options: RaterOptions, parts: RaterParts) {
    this.#options = options;
    this.#parts = parts;
    options.model.onFailure((problem) => this.#report(problem));
    this.#ended = this.#run();
  }

  get status(): RaterStatus {
    const { model, metric, reader } = this.#options;
    return {
      rater: model.rater,
      metric,
      ...model.status,
      scored: this.#scored,
      unscored: this.#unscored,
      behind: this.#asleep ? 0 : Math.max(0, reader.lastSequence() - this.#place),
    };
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
        if (!known) this.#place = await this.#readPlace();
        known = true;
        const changes = reader.readSince(this.#place, changesPerRead);
        const last = changes.at(-1);
        if (last === undefined) {
          await this.#sleep();
          continue;
        }
        const ids = changes.flatMap((change) => (change.type === 'generation' ? [change.generationId] : []));
        for (let from = 0; from < ids.length; from += completionsPerWrite) {
          await this.#rate(ids.slice(from, from + completionsPerWrite));
        }
        this.#place = last.sequence;
        if (ids.length > 0) await this.#keepPlace();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#report(HoneError.from(thrown).message);
        await this.#pause(retryMs);
      }
    }
  }

  async #rate(ids: readonly string[]): Promise<void> {
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
    if (open.length === 0) return;
    const scores = await this.#unlessClosed(model.score(open.map(toItem)));
    const items = open.flatMap(({ id }, i): FeedbackInput[] => {
      const score = scores[i];
      return typeof score === 'number' ? [{ generationId: id, score, rater: model.rater, metric }] : [];
    });
    // Items whose generation was erased meanwhile are refused.
    const results = items.length === 0 ? [] : await take(items);
    this.#scored += results.filter(({ status }) => status !== 'refused').length;
    this.#unscored += open.length - items.length;
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

  async #readPlace(): Promise<number> {
    const { placePath, reader } = this.#options;
    const text = await readFile(placePath, 'utf8').catch(() => '0');
    const place = Number(text);
    // A place beyond the end belongs to another store.
    return Number.isSafeInteger(place) && place >= 0 && place <= reader.lastSequence() ? place : 0;
  }

  async #keepPlace(): Promise<void> {
    await writeFileDurably(this.#options.placePath, `${this.#place}\n`);
  }

  async #sleep(): Promise<void> {
    this.#asleep = true;
    await this.#pause(null);
  }

  /** Resolves when there is something new, or after `ms` milliseconds. */
  async #pause(ms: number | null): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        // After a failure, only the end of the server makes the wait shorter.
        if (ms !== null && !this.#closing.signal.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #report(problem: string): void {
    const { events, now } = this.#parts;
    const atMs = now();
    if (this.#reported?.problem === problem && Math.abs(atMs - this.#reported.atMs) < repeatEventMs) return;
    this.#reported = { problem, atMs };
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
