/**
 * The merges of a byte-pair encoding, by the ids of the two tokens that they join. All of them are plain numbers in one
 * table, which takes a tenth of what their texts would take.
 */

/** Finds merges. */
export class MergeTable {
  /** Slots of an open hash table: 1 + the index of a merge, 0 if free. */
  readonly #slots: Uint32Array;
  readonly #triples: Uint32Array;
  readonly #mask: number;

  /** @param triples three numbers for each merge, the one that comes first in front: left token, right token, both */
  constructor(triples: Uint32Array) {
    const count = triples.length / 3;
    // At most half of the slots are taken.
    const size = 1 << Math.ceil(Math.log2(Math.max(2, count * 2)));
    this.#triples = triples;
    this.#slots = new Uint32Array(size);
    this.#mask = size - 1;
    for (let i = 0; i < count; i++) {
      const [left, right] = [triples[i * 3] as number, triples[i * 3 + 1] as number];
      let slot = hashOf(left, right) & this.#mask;
      // Of two equal merges the last counts, as in a map.
      for (; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) if (this.#holds(slot, left, right)) break;
      this.#slots[slot] = i + 1;
    }
  }

  /** Returns the rank of a merge, or -1. */
  rankOf(left: number, right: number): number {
    for (let slot = hashOf(left, right) & this.#mask; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#holds(slot, left, right)) return (this.#slots[slot] as number) - 1;
    }
    return -1;
  }

  /** Returns the token that a merge makes. */
  resultOf(rank: number): number {
    return this.#triples[rank * 3 + 2] as number;
  }

  #holds(slot: number, left: number, right: number): boolean {
    const at = ((this.#slots[slot] as number) - 1) * 3;
    return this.#triples[at] === left && this.#triples[at + 1] === right;
  }
}

function hashOf(left: number, right: number): number {
  const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/**
 * Joins neighbours until no merge fits any more: always those whose merge comes first, and of equal ones the first.
 * @param tokens of single characters
 */
export function applyMerges(table: MergeTable, tokens: readonly number[]): number[] {
  if (tokens.length < 2) return [...tokens];
  const line = new TokenLine(tokens);
  const queue = new MergeQueue();
  const offer = (at: number) => {
    const next = line.next(at);
    if (at < 0 || next < 0) return;
    const rank = table.rankOf(line.token(at), line.token(next));
    if (rank >= 0) queue.push(rank, at);
  };
  for (let at = 0; at + 1 < tokens.length; at++) offer(at);
  for (;;) {
    const best = queue.pop();
    if (best === undefined) return line.tokens();
    const { rank, at } = best;
    const next = line.next(at);
    // One of the two may have been joined with another since.
    if (line.token(at) < 0 || next < 0 || table.rankOf(line.token(at), line.token(next)) !== rank) continue;
    line.join(at, next, table.resultOf(rank));
    offer(line.previous(at));
    offer(at);
  }
}

/** A row of tokens in which neighbours can be joined. */
class TokenLine {
  /** -1: joined into the one before. */
  readonly #tokens: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;

  constructor(tokens: readonly number[]) {
    this.#tokens = Int32Array.from(tokens);
    this.#next = Int32Array.from(tokens, (_, i) => (i + 1 < tokens.length ? i + 1 : -1));
    this.#previous = Int32Array.from(tokens, (_, i) => i - 1);
  }

  token(at: number): number {
    return this.#tokens[at] as number;
  }

  next(at: number): number {
    return this.#next[at] ?? -1;
  }

  previous(at: number): number {
    return this.#previous[at] as number;
  }

  join(at: number, next: number, token: number): void {
    const behind = this.#next[next] as number;
    this.#tokens[at] = token;
    this.#tokens[next] = -1;
    this.#next[at] = behind;
    if (behind >= 0) this.#previous[behind] = at;
  }

  tokens(): number[] {
    const tokens: number[] = [];
    for (let at = 0; at >= 0; at = this.#next[at] as number) tokens.push(this.#tokens[at] as number);
    return tokens;
  }
}

/** Positions by the ranks of their merges: a binary heap of numbers that hold both. */
class MergeQueue {
  readonly #heap: number[] = [];

  push(rank: number, at: number): void {
    const heap = this.#heap;
    const key = rank * positions + at;
    let i = heap.length;
    for (; i > 0; i = (i - 1) >> 1) {
      const parent = heap[(i - 1) >> 1] as number;
      if (parent <= key) break;
      heap[i] = parent;
    }
    heap[i] = key;
  }

  pop(): { readonly rank: number; readonly at: number } | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (heap.length > 0) this.#sink(last);
    return { rank: Math.floor(first / positions), at: first % positions };
  }

  #sink(key: number): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= key) break;
      heap[i] = heap[child] as number;
      i = child;
    }
    heap[i] = key;
  }
}

/** More than any text has. Ranks times this stay exact numbers. */
const positions = 2 ** 31;
