/**
 * Keeps keys and values of earlier token sequences, in blocks of 32 tokens. A prompt that begins like an earlier prompt
 * or completion then computes only the rest. The least recently used blocks make room for others.
 *
 * A block is identified by the digest of the adapter that computed it, by its tokens and by the block before it. All
 * three are compared exactly, so that keys and values of another version or another text are never used. All blocks
 * share memory that is allocated once.
 */

import { LRUCache } from 'lru-cache';
import type { PrefixCacheStatus } from '../policy-status.js';
import type { Prefix, StepKeyValues } from './kv-cache.js';
import { bytesPerColumn, type CacheShape, partsOf } from './kv-layout.js';

/** Number of tokens of a block. */
export const blockLength = 32;

/** Returns the hash of a block from the hash of the block before it and its tokens. */
type BlockHash = (parent: number, tokens: readonly number[], from: number) => number;

interface Block {
  readonly hash: number;
  readonly adapterDigest: string;
  /** Unique among all blocks that ever existed; at least 1. */
  readonly serial: number;
  /** Serial of the block before it; 0 for the first block. */
  readonly parent: number;
  readonly tokens: Int32Array;
  readonly slot: number;
}

export class PrefixCache {
  readonly #shape: CacheShape;
  readonly #hash: BlockHash;
  readonly #blockBytes: number;
  /** [slots, parts, kv, 32, hd] */
  readonly #memory: Float32Array;
  readonly #views: (StepKeyValues | undefined)[] = [];
  readonly #free: number[];
  readonly #slots: number;
  readonly #blocks: LRUCache<number, Block>;
  #lastSerial = 0;
  readonly #counts = { hitTokens: 0, lookedUpTokens: 0, evictedBlocks: 0 };

  /**
   * @param maxBytes memory for keys and values. If a block does not fit, nothing is kept.
   * @param hash tests pass another one
   */
  constructor(shape: CacheShape, maxBytes: number, hash: BlockHash = blockHash) {
    this.#shape = shape;
    this.#hash = hash;
    this.#blockBytes = blockLength * bytesPerColumn(shape);
    this.#slots = Math.floor(maxBytes / this.#blockBytes);
    this.#memory = new Float32Array((this.#slots * this.#blockBytes) / 4);
    this.#free = Array.from({ length: this.#slots }, (_, i) => this.#slots - 1 - i);
    this.#blocks = new LRUCache({
      maxSize: Math.max(this.#slots * this.#blockBytes, 1),
      sizeCalculation: () => this.#blockBytes,
      dispose: ({ slot }) => this.#free.push(slot),
    });
  }

  /** Removes all blocks and overwrites their memory. */
  clear(): void {
    this.#blocks.clear();
    this.#memory.fill(0);
  }

  get status(): PrefixCacheStatus {
    return {
      ...this.#counts,
      bytes: this.#blocks.size * this.#blockBytes,
      maxBytes: this.#slots * this.#blockBytes,
    };
  }

  /**
   * Finds the longest known beginning of a prompt. It never covers the last token, because its logits must be computed.
   * @param from number of tokens that are computed already, a multiple of the block length
   * @returns keys and values [1, kv, 32, hd] of each block after these tokens
   */
  find(adapterDigest: string, promptTokens: readonly number[], from = 0): StepKeyValues[] {
    const chain = this.#chain(adapterDigest, promptTokens, promptTokens.length - 1);
    this.#touch(chain);
    const found = chain.slice(from / blockLength).map(({ slot }) => this.#viewsOf(slot));
    this.#counts.hitTokens += found.length * blockLength;
    return found;
  }

  /** Counts a prompt that was looked up for the first time. */
  countLookup(promptTokens: number): void {
    this.#counts.lookedUpTokens += promptTokens;
  }

  /**
   * Stores copies of the complete blocks of a sequence.
   * @param tokens at least as many as the prefix has columns
   */
  store(adapterDigest: string, tokens: readonly number[], prefix: Prefix): void {
    const blocks = Math.min(Math.floor(prefix.length / blockLength), this.#slots);
    const chain = this.#chain(adapterDigest, tokens, prefix.length);
    this.#touch(chain);
    for (let index = chain.length; index < blocks; index++) {
      const parent = chain[index - 1];
      const from = index * blockLength;
      const block: Block = {
        hash: this.#hash(parent?.hash ?? rootHash(adapterDigest), tokens, from),
        adapterDigest,
        serial: ++this.#lastSerial,
        parent: parent?.serial ?? 0,
        tokens: Int32Array.from(tokens.slice(from, from + blockLength)),
        slot: this.#takeSlot(),
      };
      this.#copy(prefix, from, block.slot);
      this.#blocks.set(block.hash, block);
      chain.push(block);
    }
    this.#touch(chain);
  }

  /** Returns the known blocks at the beginning of a sequence, within its first `length` tokens. */
  #chain(adapterDigest: string, tokens: readonly number[], length: number): Block[] {
    const chain: Block[] = [];
    let [hash, parent] = [rootHash(adapterDigest), 0];
    for (let from = 0; from + blockLength <= length && chain.length < this.#slots; from += blockLength) {
      hash = this.#hash(hash, tokens, from);
      const block = this.#blocks.peek(hash);
      if (block?.parent !== parent || block.adapterDigest !== adapterDigest || !sameTokens(block, tokens, from)) break;
      parent = block.serial;
      chain.push(block);
    }
    return chain;
  }

  /** Marks blocks as used, from the last to the first, so that a block is removed only after those that continue it. */
  #touch(chain: readonly Block[]): void {
    for (let index = chain.length - 1; index >= 0; index--) this.#blocks.get((chain[index] as Block).hash);
  }

  #takeSlot(): number {
    if (this.#free.length === 0) {
      this.#blocks.pop();
      this.#counts.evictedBlocks += 1;
    }
    return this.#free.pop() as number;
  }

  #viewsOf(slot: number): StepKeyValues {
    const known = this.#views[slot];
    if (known !== undefined) return known;
    const size = this.#shape.kvHeads * blockLength * this.#shape.headSize;
    const start = slot * partsOf(this.#shape) * size;
    const views = Array.from({ length: partsOf(this.#shape) }, (_, part) =>
      this.#memory.subarray(start + part * size, start + (part + 1) * size),
    );
    this.#views[slot] = views;
    return views;
  }

  #copy({ parts, stride }: Prefix, from: number, slot: number): void {
    const { kvHeads, headSize } = this.#shape;
    const size = blockLength * headSize;
    for (const [index, target] of this.#viewsOf(slot).entries()) {
      const source = parts[index] as Float32Array;
      for (let head = 0; head < kvHeads; head++) {
        const start = (head * stride + from) * headSize;
        target.set(source.subarray(start, start + size), head * size);
      }
    }
  }
}

function sameTokens(block: Block, tokens: readonly number[], from: number): boolean {
  for (let i = 0; i < blockLength; i++) if (block.tokens[i] !== tokens[from + i]) return false;
  return true;
}

/** FNV-1a over the digest's characters. */
function rootHash(adapterDigest: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < adapterDigest.length; i++) hash = Math.imul(hash ^ adapterDigest.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Two multiplicative hashes of 32 and 20 bits, joined in one number that a double represents exactly. */
function blockHash(parent: number, tokens: readonly number[], from: number): number {
  let low = (parent >>> 0) ^ 0x9e3779b9;
  let high = Math.floor(parent / 0x100000000) ^ 0x85ebca6b;
  for (let i = 0; i < blockLength; i++) {
    const token = tokens[from + i] as number;
    low = Math.imul(low ^ token, 0x9e3779b1);
    low ^= low >>> 15;
    high = Math.imul(high ^ token, 0x5f356495);
    high ^= high >>> 13;
  }
  return ((high >>> 0) & 0xfffff) * 0x100000000 + (low >>> 0);
}
