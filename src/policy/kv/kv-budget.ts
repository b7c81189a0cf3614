/**
 * Promises the memory of keys and values to requests. Nothing starts before the most that it can need is promised to
 * it.
 *
 * The most that a completion can need is the class of its prompt and `max_tokens` together, because it shares a cache
 * with rows of up to that length. A prompt with waiting completions takes another row, which the last completion takes
 * over.
 */

import { HoneError } from '../../errors.js';
import type { CompletionRequest } from '../completion-request.js';
import { bucketFor, bytesPerColumn, type CacheShape, classFor, smallestBucket } from './kv-layout.js';

/** Columns that a request is charged for. */
export interface RequestColumns {
  /** Columns of the computed prompt while completions wait; 0 if each completion computes the prompt itself. */
  readonly prompt: number;
  /** Columns of each completion. */
  readonly completion: number;
}

export class KvBudget {
  /** Number of all columns. */
  readonly columns: number;
  readonly #columnBytes: number;
  readonly #contextLength: number;
  #charged = 0;

  /** @throws HoneError `INVALID_OPTIONS` if there is no room for one sequence of full context */
  constructor(shape: CacheShape, contextLength: number, maxBytes: number) {
    this.#columnBytes = bytesPerColumn(shape);
    this.#contextLength = contextLength;
    this.columns = Math.floor(maxBytes / this.#columnBytes / smallestBucket) * smallestBucket;
    const longest = bucketFor(contextLength);
    if (this.columns >= longest) return;
    throw new HoneError(
      'INVALID_OPTIONS',
      `keys and values of one sequence of ${contextLength} tokens take ${longest * this.#columnBytes} bytes, but ` +
        `kvMemoryBytes is ${maxBytes}; set it to at least ${longest * this.#columnBytes}`,
    );
  }

  get usedBytes(): number {
    return this.#charged * this.#columnBytes;
  }

  get maxBytes(): number {
    return this.columns * this.#columnBytes;
  }

  columnsFor({ promptTokens, sampling, completions }: CompletionRequest): RequestColumns {
    const most = Math.max(...completions.map(({ forced }) => forced?.length ?? sampling.maxTokens));
    const length = Math.min(promptTokens.length + most, this.#contextLength);
    const completion = classFor(length, this.#contextLength);
    const prompt = completions.length === 1 ? 0 : bucketFor(promptTokens.length + 1);
    return { completion, prompt: prompt + completion > this.columns ? 0 : prompt };
  }

  /** Charges columns if enough are free. @returns whether they were */
  charge(columns: number): boolean {
    if (this.#charged + columns > this.columns) return false;
    this.#charged += columns;
    return true;
  }

  release(columns: number): void {
    this.#charged -= columns;
  }
}
