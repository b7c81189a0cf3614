/**
 * Who may use the memory of keys and values: nothing starts before it is promised the most that it can come to need.
 *
 * A completion's worst case is the class of its prompt with `max_tokens`, since it shares a cache with rows of up to that
 * length. A prompt whose completions wait is a further row of its own; the last completion takes that over.
 */

import { HoneError } from '../../errors.js';
import type { CompletionRequest } from '../completion-request.js';
import { bucketFor, bytesPerColumn, type CacheShape, classFor, smallestBucket } from './kv-layout.js';

/** Columns that a request is charged. */
export interface RequestColumns {
  /** Of the computed prompt, while completions wait; 0 where each of them computes it for itself. */
  readonly prompt: number;
  /** Of each completion. */
  readonly completion: number;
}

export class KvBudget {
  /** Columns in all. */
  readonly columns: number;
  readonly #columnBytes: number;
  readonly #contextLength: number;
  #charged = 0;

  /** @throws HoneError `INVALID_OPTIONS` when not even one sequence of full context has room */
  constructor(shape: CacheShape, contextLength: number, maxBytes: number) {
    this.#columnBytes = bytesPerColumn(shape);
    this.#contextLength = contextLength;
    this.columns = Math.floor(maxBytes / this.#columnBytes / smallestBucket) * smallestBucket;
    const longest = bucketFor(contextLength);
    if (this.columns >= longest) return;
    throw new HoneError(
      'INVALID_OPTIONS',
      `keys and values of one sequence of ${contextLength} tokens take ${longest * this.#columnBytes} bytes, but kvMemoryBytes is ${maxBytes}: give at least as many`,
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

  /** Promises columns, if there are as many. */
  charge(columns: number): boolean {
    if (this.#charged + columns > this.columns) return false;
    this.#charged += columns;
    return true;
  }

  release(columns: number): void {
    this.#charged -= columns;
  }
}
