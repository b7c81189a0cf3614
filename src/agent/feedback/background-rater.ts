/**
 * A rater without a person: whatever is finished and kept gets a score from a reward model or a user's function, in the
 * background. It follows the store by sequence number from where it stood before the last restart, and its scores are
 * feedback like any other. The computing is another process's, at the lowest priority.
 */

import { readFile } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import type { Generation, ReplayReader, ReplayStore } from '../../replay/index.js';
import type { RewardedCompletion, RewardProcess, RewardStatus } from '../../reward/index.js';
import { writeFileDurably } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import type { FeedbackInput, FeedbackResult } from './types.js';

/** Who rates, and where it keeps its place. */
export interface RaterOptions {
  readonly model: RewardProcess;
  /** Its scores are kept on this metric. */
  readonly metric: string;
  /** Of the store; its calls block, and are kept short. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  /** File that holds how far it has come. */
  readonly placePath: string;
}

/** How a rater is doing. */
export interface RaterStatus extends RewardStatus {
  readonly rater: string;
  readonly metric: string;
  /** Completions that it scored since the server started. */
  readonly scored: number;
  /** Completions that got none: it had nothing to say, or what it said was no score. */
  readonly unscored: number;
  /** Changes of the store that it has not looked at yet. */
  readonly behind: number;
}

interface RaterParts {
  readonly replay: Pick<ReplayStore, 'readGenerations' | 'readScores'>;
  readonly take: (items: readonly FeedbackInput[]) => Promise<readonly FeedbackResult[]>;
  readonly events: Pick<EventLog, 'publish'>;
  readonly now: () => number;
}

/** Changes that are read at once. */
const changesPerRead = 256;
/** Completions that are scored, and whose scores are written, at once. */
const completionsPerWrite = 32;
/** Wait after the model could not be started or the store took no scores. */
const retryMs = 5000;
/** The same trouble is told of again after this long. */
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
  #told: { readonly problem: string; readonly atMs: number } | undefined;
  readonly #ended: Promise<void>;

  constructor(options: RaterOptions, parts: RaterParts) {
    this.#options = options;
    this.#parts = parts;
    options.model.onFailure((problem) => this.#tell(problem));
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

  /** There are new generations in the store. */
  changed(): void {
    this.#asleep = false;
    this.#wake?.();
  }

  /** Ends after the write in flight; what is not scored yet is scored after the next start. Idempotent. */
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
        this.#tell(HoneError.from(thrown).message);
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
    // Those that were erased meanwhile are refused.
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
    // A place beyond the end is another store's.
    return Number.isSafeInteger(place) && place >= 0 && place <= reader.lastSequence() ? place : 0;
  }

  async #keepPlace(): Promise<void> {
    await writeFileDurably(this.#options.placePath, `${this.#place}\n`);
  }

  async #sleep(): Promise<void> {
    this.#asleep = true;
    await this.#pause(null);
  }

  /** Until there is something new, or so many milliseconds have passed. */
  async #pause(ms: number | null): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        // After trouble, only the end of the server cuts the wait short.
        if (ms !== null && !this.#closing.signal.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #tell(problem: string): void {
    const { events, now } = this.#parts;
    const atMs = now();
    if (this.#told?.problem === problem && Math.abs(atMs - this.#told.atMs) < repeatEventMs) return;
    this.#told = { problem, atMs };
    events.publish({ type: 'rater_failed', detail: `${this.#options.model.rater}: ${problem}` });
  }
}

/** Answers and drawings that came to their own end; what a person wrote has that person's score. */
function isRated({ state, origin }: Generation): boolean {
  return state === 'finished' && origin !== 'edit';
}

function toItem({ promptTokens, promptJson, tokens, text }: Generation): RewardedCompletion {
  return { promptTokens: [...promptTokens], promptJson, tokens: [...tokens], text };
}
