/** Finds the token that a word is, in a byte-level vocabulary. It holds ids only: the words lie in the table of bytes. */

import type { TokenBytes } from '../types.js';
import { byteOfCode } from './byte-alphabet.js';

export class WordIndex {
  readonly #table: TokenBytes;
  /** Slots of an open hash table: 1 + a token, 0 if free. */
  readonly #slots: Uint32Array;
  readonly #mask: number;

  constructor(table: TokenBytes) {
    const { bytes, ends } = table;
    const size = 1 << Math.ceil(Math.log2(Math.max(2, ends.length * 2)));
    this.#table = table;
    this.#slots = new Uint32Array(size);
    this.#mask = size - 1;
    let start = 0;
    for (const [token, end] of ends.entries()) {
      if (end > start) this.#add(bytes, start, end, token);
      start = end;
    }
  }

  /** @param word in GPT-2's alphabet */
  find(word: string): number | undefined {
    const bytes = Uint8Array.from(word, (character) => byteOfCode[character.charCodeAt(0)] ?? 0);
    const found = (this.#slots[this.#slotOf(bytes, 0, bytes.length)] as number) - 1;
    return found < 0 || bytes.length === 0 ? undefined : found;
  }

  #add(bytes: Uint8Array, start: number, end: number, token: number): void {
    const slot = this.#slotOf(bytes, start, end);
    if (this.#slots[slot] === 0) this.#slots[slot] = token + 1;
  }

  /** Returns the slot of the token with these bytes, or the free one in which it would be. */
  #slotOf(bytes: Uint8Array, from: number, to: number): number {
    let hash = 0x811c9dc5;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    while (this.#slots[slot] !== 0 && !this.#isAt(slot, bytes, from, to)) slot = (slot + 1) & this.#mask;
    return slot;
  }

  #isAt(slot: number, word: Uint8Array, from: number, to: number): boolean {
    const { bytes, ends } = this.#table;
    const token = (this.#slots[slot] as number) - 1;
    const end = ends[token] as number;
    const start = token === 0 ? 0 : (ends[token - 1] as number);
    if (end - start !== to - from) return false;
    for (let i = 0; i < to - from; i++) if (bytes[start + i] !== word[from + i]) return false;
    return true;
  }
}
