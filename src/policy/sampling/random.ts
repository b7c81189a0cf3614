/** A seeded generator of uniform random numbers. The same seed gives the same numbers on every machine. */

/** sfc32 (Chris Doty-Humphrey's small fast counter), seeded through its own warm-up. */
export class Random {
  #a = 0;
  #b: number;
  #c = 0x9e3779b9;
  #counter = 1;

  /** @param seed 32-bit unsigned */
  constructor(seed: number) {
    this.#b = seed | 0;
    this.#a = Math.imul(seed, 0x85ebca6b) | 0;
    // The author of sfc32 advises a dozen rounds, after which similar seeds give unrelated numbers.
    for (let round = 0; round < 15; round++) this.#next();
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** Returns a number in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }
}
