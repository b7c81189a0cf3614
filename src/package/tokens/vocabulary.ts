/** The tokens of a vocabulary as they are written in `tokenizer.json`, in UTF-8, and the ids of all of them. */

import { closeBrace, closeBracket, colon, comma, type JsonBytes, openBrace, openBracket } from './json-bytes.js';
import { downloadAgain, unusable } from './refusal.js';

export class Vocabulary {
  /** All tokens, one behind the other. */
  readonly bytes: Uint8Array;
  readonly #ends: Uint32Array;
  readonly #ids: Uint32Array;
  /** Slots of an open hash table: 1 + the place of a token, below eight bits of its hash; 0 if free. */
  readonly #slots: Uint32Array;
  readonly #mask: number;

  private constructor(bytes: Uint8Array, ends: Uint32Array, ids: Uint32Array) {
    this.bytes = bytes;
    this.#ends = ends;
    this.#ids = ids;
    const size = 1 << Math.ceil(Math.log2(Math.max(2, ids.length * 2)));
    this.#slots = new Uint32Array(size);
    this.#mask = size - 1;
    for (let i = 0; i < ids.length; i++) {
      const [start, end] = [this.start(i), ends[i] as number];
      const hash = hashOf(bytes, start, end, hashStart);
      const slot = this.#slotOf(hash, bytes, start, end);
      if (this.#slots[slot] !== 0) throw unusable(`has the token ${JSON.stringify(this.text(i))} twice`, downloadAgain);
      this.#slots[slot] = tagOf(hash) | (i + 1);
    }
  }

  /**
   * Reads an object of ids by token.
   * @param largest the first id that is too large
   * @throws HoneError `PACKAGE_INVALID` if an id is none
   */
  static read(json: JsonBytes, largest: number): Vocabulary {
    const written = new Uint8Array(json.remaining);
    const [ends, ids] = [new NumberList(), new NumberList()];
    let end = 0;
    json.list(openBrace, closeBrace, () => {
      const from = end;
      end = json.string(written, end);
      json.expect(colon);
      const id = json.wholeNumber();
      if (id < 0 || id >= largest) {
        const token = Buffer.from(written.subarray(from, end)).toString('utf8');
        throw unusable(`does not fit (model.vocab.${token}: must be a token id below ${largest})`, downloadAgain);
      }
      ends.push(end);
      ids.push(id);
    });
    return new Vocabulary(written.slice(0, end), ends.numbers(), ids.numbers());
  }

  /** Reads an array of tokens, of which each has its place as id, with their scores. */
  static readList(json: JsonBytes): { readonly vocabulary: Vocabulary; readonly scores: Float64Array } {
    const written = new Uint8Array(json.remaining);
    const ends = new NumberList();
    const scores: number[] = [];
    let end = 0;
    json.list(openBracket, closeBracket, () => {
      json.expect(openBracket);
      end = json.string(written, end);
      json.expect(comma);
      scores.push(json.number());
      json.expect(closeBracket);
      ends.push(end);
    });
    const ids = Uint32Array.from(scores, (_, id) => id);
    const vocabulary = new Vocabulary(written.slice(0, end), ends.numbers(), ids);
    return { vocabulary, scores: Float64Array.from(scores) };
  }

  get size(): number {
    return this.#ids.length;
  }

  /** Returns the id of a token by its place in the file. */
  id(place: number): number {
    return this.#ids[place] as number;
  }

  /** Where a token begins in {@link bytes}, by its place in the file. */
  start(place: number): number {
    return place === 0 ? 0 : (this.#ends[place - 1] as number);
  }

  end(place: number): number {
    return this.#ends[place] as number;
  }

  text(place: number): string {
    return Buffer.from(this.bytes.subarray(this.start(place), this.end(place))).toString('utf8');
  }

  idOf(token: string): number | undefined {
    const bytes = Buffer.from(token, 'utf8');
    const id = this.idOfBytes(bytes, 0, bytes.length);
    return id < 0 ? undefined : id;
  }

  /** Returns the id of the token that is written in a part of `bytes`, or -1. */
  idOfBytes(bytes: Uint8Array, from: number, to: number): number {
    return this.#idAt(hashOf(bytes, from, to, hashStart), bytes, from, to);
  }

  /**
   * Finds two tokens that are written one behind the other, and the token of both.
   * @returns whether all three are tokens; `into` then has their ids at `at`
   */
  findMerge(bytes: Uint8Array, middle: number, end: number, into: Uint32Array, at: number): boolean {
    const hash = hashOf(bytes, 0, middle, hashStart);
    const left = this.#idAt(hash, bytes, 0, middle);
    const right = this.idOfBytes(bytes, middle, end);
    const both = this.#idAt(hashOf(bytes, middle, end, hash), bytes, 0, end);
    into[at] = left;
    into[at + 1] = right;
    into[at + 2] = both;
    return left >= 0 && right >= 0 && both >= 0;
  }

  #idAt(hash: number, bytes: Uint8Array, from: number, to: number): number {
    const place = ((this.#slots[this.#slotOf(hash, bytes, from, to)] as number) & placeMask) - 1;
    return place < 0 ? -1 : (this.#ids[place] as number);
  }

  /** Returns the slot of a token, or the free one in which it would be. */
  #slotOf(hash: number, bytes: Uint8Array, from: number, to: number): number {
    const tag = tagOf(hash);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    for (;;) {
      const taken = this.#slots[slot] as number;
      if (taken === 0) return slot;
      const place = (taken & placeMask) - 1;
      if (((taken ^ tag) & ~placeMask) === 0 && this.#isAt(place, bytes, from, to)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #isAt(place: number, bytes: Uint8Array, from: number, to: number): boolean {
    const start = this.start(place);
    if ((this.#ends[place] as number) - start !== to - from) return false;
    for (let i = 0; i < to - from; i++) if (this.bytes[start + i] !== bytes[from + i]) return false;
    return true;
  }
}

const hashStart = 0x811c9dc5;

/** The bits of a slot that hold a place. */
const placeMask = 0xffffff;

/** Returns the hash (FNV-1a) of bytes, or goes on with that of the bytes before them. */
function hashOf(bytes: Uint8Array, from: number, to: number, before: number): number {
  let hash = before;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash;
}

function tagOf(hash: number): number {
  return hash & ~placeMask;
}

/** Numbers of which it is not known how many will come. */
class NumberList {
  #numbers = new Uint32Array(1024);
  #length = 0;

  push(number: number): void {
    if (this.#length === this.#numbers.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#length++] = number;
  }

  numbers(): Uint32Array {
    return this.#numbers.slice(0, this.#length);
  }
}
