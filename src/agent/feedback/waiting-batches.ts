/**
 * Bounds the batches of feedback that wait until edits are encoded. The items of a batch stay in memory so long, also
 * if their caller has left.
 */

import { HoneError } from '../../errors.js';
import type { CheckedFeedback } from './check-feedback.js';

/** Most waiting batches that have edits. */
export const maxWaitingBatches = 64;
/** Most characters of their texts. One batch alone is always taken. */
export const maxWaitingEditCharacters = 16 * 1024 * 1024;
/** Most items of all waiting batches, with edits or without. */
export const maxWaitingItems = 16384;

export class WaitingBatches {
  #withEdits = 0;
  #characters = 0;
  #items = 0;

  /** Counts a batch until the result is disposed of. @throws HoneError `QUEUE_FULL` */
  enter(batch: readonly CheckedFeedback[]): Disposable {
    const edits = batch.filter((item) => 'type' in item && item.type === 'edit');
    const withEdits = edits.length > 0 ? 1 : 0;
    const characters = edits.reduce((sum, { text }) => sum + text.length, 0);
    const full =
      this.#withEdits + withEdits > maxWaitingBatches ||
      this.#characters + characters > maxWaitingEditCharacters ||
      this.#items + batch.length > maxWaitingItems;
    if (full && this.#items > 0) {
      throw new HoneError('QUEUE_FULL', 'too much feedback waits for edits to be encoded; try again later', {
        retryAfterMs: 1000,
      });
    }
    this.#add(withEdits, characters, batch.length);
    return { [Symbol.dispose]: () => this.#add(-withEdits, -characters, -batch.length) };
  }

  #add(withEdits: number, characters: number, items: number): void {
    this.#withEdits += withEdits;
    this.#characters += characters;
    this.#items += items;
  }
}
