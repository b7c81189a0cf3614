/** Selects the k largest of many numbers in one pass with a heap of size k, without sorting all of them. */

/**
 * Indices and their scores, the largest first. Equal scores are in the order of their indices. The buffers are reused.
 */
export class TopSelection {
  indices = new Int32Array(64);
  scores = new Float64Array(64);
  length = 0;

  /** Selects from `values[offset .. offset + count)`; indices are relative to `offset`. */
  select(values: ArrayLike<number>, offset: number, count: number, k: number): void {
    const size = Math.min(k, count);
    this.#reserve(size);
    for (let i = 0; i < size; i++) this.#put(i, i, values[offset + i] as number);
    for (let i = (size >> 1) - 1; i >= 0; i--) this.#sink(i, size);
    // The root is the smallest score that is kept. A later score must exceed it, so of two equal scores the one with
    // the lower index is kept.
    for (let i = size; i < count; i++) {
      const value = values[offset + i] as number;
      if (value > (this.scores[0] as number)) {
        this.#put(0, i, value);
        this.#sink(0, size);
      }
    }
    for (let end = size - 1; end > 0; end--) {
      this.#swap(0, end);
      this.#sink(0, end);
    }
    this.length = size;
  }

  #reserve(size: number): void {
    if (size <= this.indices.length) return;
    this.indices = new Int32Array(size);
    this.scores = new Float64Array(size);
  }

  #put(at: number, index: number, score: number): void {
    this.indices[at] = index;
    this.scores[at] = score;
  }

  #swap(a: number, b: number): void {
    const index = this.indices[a] as number;
    const score = this.scores[a] as number;
    this.#put(a, this.indices[b] as number, this.scores[b] as number);
    this.#put(b, index, score);
  }

  /** Whether a belongs above b in the heap: it has the smaller score, or the later index of equal scores. */
  #above(a: number, b: number): boolean {
    const difference = (this.scores[a] as number) - (this.scores[b] as number);
    return difference < 0 || (difference === 0 && (this.indices[a] as number) > (this.indices[b] as number));
  }

  #sink(from: number, size: number): void {
    let at = from;
    for (;;) {
      let top = at;
      const left = 2 * at + 1;
      if (left < size && this.#above(left, top)) top = left;
      if (left + 1 < size && this.#above(left + 1, top)) top = left + 1;
      if (top === at) return;
      this.#swap(at, top);
      at = top;
    }
  }
}
