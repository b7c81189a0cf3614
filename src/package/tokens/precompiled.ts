/**
 * SentencePiece's table of replaced characters, the normalizer `Precompiled`: a trie of UTF-8 texts in a double array
 * (Aoe 1989, "An efficient digital search algorithm by using a double-array structure", in the form of darts-clone), and
 * behind it the texts that replace them, each with a zero byte at its end.
 */

import { unknownStep } from './refusal.js';

/** Longest cluster of characters, in bytes, that is replaced as a whole. */
const longestCluster = 5;

export class PrecompiledMap {
  readonly #units: Uint32Array;
  readonly #texts: Buffer;
  readonly #clusters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

  /** @throws HoneError `PACKAGE_INVALID` if it is cut off */
  constructor(base64: string) {
    const bytes = Buffer.from(base64, 'base64');
    const size = bytes.length < 4 ? -1 : bytes.readUInt32LE(0);
    if (size < 4 || size % 4 !== 0 || size + 4 > bytes.length)
      throw unknownStep('normalizer', 'a Precompiled that is cut off');
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.#texts = bytes.subarray(4 + size);
  }

  apply(text: string): string {
    let changed = '';
    for (const { segment } of this.#clusters.segment(text)) {
      const whole = Buffer.byteLength(segment) <= longestCluster ? this.#replacement(segment) : undefined;
      if (whole !== undefined) changed += whole;
      else for (const character of segment) changed += this.#replacement(character) ?? character;
    }
    return changed;
  }

  /** Returns the text for the shortest beginning of `text` that is in the trie, as SentencePiece's own reader does. */
  #replacement(text: string): string | undefined {
    const units = this.#units;
    let at = offsetOf(units[0] as number);
    for (const byte of Buffer.from(text, 'utf8')) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at];
      if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if ((unit >>> 8) & 1) return this.#textAt((units[at] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  #textAt(start: number): string {
    const end = this.#texts.indexOf(0, start);
    return this.#texts.toString('utf8', start, end < 0 ? undefined : end);
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
