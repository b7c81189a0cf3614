/**
 * Takes feedback: checks each item, encodes edits, writes the batch in one commit, answers in order, and reports what
 * changed. Feedback never has to wait for its generation: an id is only handed out once the generation is on disk.
 */

import { HoneError } from '../../errors.js';
import type { Package, TextEncoding } from '../../package/index.js';
import type { FeedbackOutcome, FeedbackWrite, ReplayStore, ScoreWrite } from '../../replay/index.js';
import type { RewardSettings } from '../../reward/index.js';
import type { Meter } from '../meter.js';
import { isFailure, type StoreOutage } from '../store-outage.js';
import { atItem, type CheckedFeedback, checkFeedback, type EditDraft, kindOf, toResult } from './check-feedback.js';
import { encodeEdits } from './encode-edits.js';
import { LateScores } from './late-scores.js';
import type { FeedbackInput, FeedbackResult } from './types.js';
import { WaitingBatches } from './waiting-batches.js';

export interface FeedbackIntakeOptions {
  readonly pkg: Package;
  readonly encoding: TextEncoding;
  readonly replay: ReplayStore;
  /** Hears whether the store takes writes. */
  readonly storeOutage: Pick<StoreOutage, 'writeSucceeded' | 'writeFailed'>;
  readonly reward: RewardSettings;
  readonly meter: Meter;
  readonly now: () => number;
  /** Called when the feedback on these generations has changed, so that there is something new to learn from. */
  readonly onChanged: (generationIds: readonly string[]) => void;
}

/** An item for the store, or the error for which it is refused. */
type Writable = FeedbackWrite | { readonly error: HoneError };

export class FeedbackIntake {
  readonly #options: FeedbackIntakeOptions;
  readonly #late: LateScores;
  /** Running generations, and whether they have feedback already. */
  readonly #running = new Map<string, boolean>();
  /** Settles when the last edits were handed to the store. */
  #encoding: Promise<void> | undefined;
  readonly #waiting = new WaitingBatches();

  constructor(options: FeedbackIntakeOptions) {
    this.#options = options;
    this.#late = new LateScores(options);
  }

  /**
   * Outcomes in the order of the items, on disk.
   * @param firstIndex index of the first item in the caller's message. Default 0
   * @throws HoneError `INVALID_REQUEST`, `STORE_FULL`, `QUEUE_FULL`
   */
  async take(items: readonly FeedbackInput[], firstIndex = 0): Promise<FeedbackResult[]> {
    const { meter, now, reward, onChanged } = this.#options;
    const checked = checkFeedback(items, now(), reward, firstIndex);
    let writes: readonly Writable[];
    let outcomes: readonly FeedbackOutcome[];
    try {
      [writes, outcomes] = await this.#store(checked, firstIndex);
    } catch (thrown) {
      const error = HoneError.from(thrown);
      meter.feedback?.(
        items.map((item) => ({ kind: kindOf(item), result: { status: 'refused', error } })),
        0,
      );
      throw error;
    }
    let next = 0;
    let early = 0;
    const changed: string[] = [];
    const scores: ScoreWrite[] = [];
    const results = writes.map((item, index): FeedbackResult => {
      if ('error' in item) return { status: 'refused', error: item.error };
      const outcome = outcomes[next++];
      if (outcome === undefined) throw new HoneError('INTERNAL', 'the store answered fewer items than it was given');
      if (outcome.status !== 'refused') {
        changed.push(outcome.generationId ?? item.generationId);
        if (this.#cameEarly(item)) early += 1;
        if (item.type === 'score' && item.value !== null && outcome.status !== 'duplicate') scores.push(item);
      }
      return toResult(outcome, item.type, firstIndex + index);
    });
    meter.feedback?.(
      results.map((result, index) => ({ kind: kindOf(items[index] as FeedbackInput), result })),
      early,
    );
    this.#late.count(scores);
    if (changed.length > 0) onChanged(changed);
    return results;
  }

  /** Call when generations begin to run and may take feedback. */
  admitted(ids: readonly string[]): void {
    for (const id of ids) this.#running.set(id, false);
  }

  /** Call when generations have ended and are on disk. One that got feedback while it ran may train only now. */
  recorded(ids: readonly string[]): void {
    const early = ids.filter((id) => this.#running.get(id) === true);
    for (const id of ids) this.#running.delete(id);
    if (early.length > 0) this.#options.onChanged(early);
  }

  #cameEarly(item: FeedbackWrite): boolean {
    const ids = item.type === 'preference' ? [item.generationId, item.otherId] : [item.generationId];
    const running = ids.filter((id) => this.#running.has(id));
    for (const id of running) this.#running.set(id, true);
    return running.length > 0;
  }

  /**
   * Hands a batch to the store, never before an earlier batch. The generations of edits have to be read before the
   * edits are written. Batches that come meanwhile wait, because otherwise the older of two scores could be written
   * last.
   */
  async #store(
    checked: readonly CheckedFeedback[],
    firstIndex: number,
  ): Promise<[readonly Writable[], readonly FeedbackOutcome[]]> {
    const drafts = checked.filter((item): item is EditDraft => 'type' in item && item.type === 'edit');
    const before = this.#encoding;
    if (drafts.length === 0 && before === undefined) {
      const writes = checked as readonly Writable[];
      return [writes, await this.#write(writes)];
    }
    const waiting = this.#waiting.enter(checked);
    const handOver = async () => {
      using _ = waiting;
      await before;
      const writes = await this.#withTokens(checked, drafts, firstIndex);
      // The promise is wrapped in an object, so that the next batch waits only until this one is handed over.
      return { writes, written: this.#write(writes) };
    };
    const handed = handOver();
    const encoding = handed.then(
      () => undefined,
      () => undefined,
    );
    this.#encoding = encoding;
    const { writes, written } = await handed.finally(() => {
      if (this.#encoding === encoding) this.#encoding = undefined;
    });
    return [writes, await written];
  }

  async #withTokens(
    checked: readonly CheckedFeedback[],
    drafts: readonly EditDraft[],
    firstIndex: number,
  ): Promise<readonly Writable[]> {
    const { pkg, encoding, replay } = this.#options;
    const edits = drafts.length === 0 ? [] : await encodeEdits(drafts, pkg, encoding, replay);
    return checked.map((item, index) => {
      if ('error' in item || item.type !== 'edit') return item;
      const edit = edits.shift();
      if (edit === undefined) throw new HoneError('INTERNAL', 'fewer edits were encoded than there are');
      return edit instanceof HoneError ? { error: atItem(edit, firstIndex + index) } : edit;
    });
  }

  async #write(items: readonly Writable[]): Promise<readonly FeedbackOutcome[]> {
    const writes = items.filter((item) => 'type' in item);
    if (writes.length === 0) return [];
    const { replay, storeOutage } = this.#options;
    try {
      const outcomes = await replay.write(writes);
      void storeOutage.writeSucceeded();
      return outcomes;
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (isFailure(error)) storeOutage.writeFailed(error);
      throw error;
    }
  }
}
