/** Collects one line from pieces of any length, in one buffer: thousands of tiny pieces cost no more than their bytes. */

export class LineBuffer {
  readonly #maxBytes: number;
  #bytes = Buffer.alloc(0);
  #length = 0;
  #isTooLong = false;

  /** @param maxBytes a longer line is not kept */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds a copy of the piece. */
  add(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (this.#isTooLong || length > this.#maxBytes) {
      this.#isTooLong = true;
      this.#bytes = Buffer.alloc(0);
      return;
    }
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** Returns the line and begins the next one; `null`: it was too long. The bytes hold until something is added. */
  end(): Uint8Array | null {
    const line = this.#isTooLong ? null : this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    this.#isTooLong = false;
    return line;
  }
}
