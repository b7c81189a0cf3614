/**
 * Prompts that were computed before, least recently used first to go: a prompt that comes again starts at once.
 *
 * An entry belongs to the adapter whose weights computed it (by digest) and to the whole prompt; keys and values of one
 * version are never used under another.
 */

import { LRUCache } from 'lru-cache';
import type { PreparedPrompt } from './sequence.js';

export class PrefixCache {
  readonly #prompts: LRUCache<string, PreparedPrompt> | null;

  /** @param maxBytes Memory for keys, values and logits; 0 keeps nothing. */
  constructor(maxBytes: number) {
    this.#prompts = maxBytes === 0 ? null : new LRUCache({ maxSize: maxBytes, sizeCalculation: bytesOf });
  }

  get(adapterDigest: string, promptTokens: readonly number[]): PreparedPrompt | undefined {
    return this.#prompts?.get(keyOf(adapterDigest, promptTokens));
  }

  /** Keeps a prompt's arrays as they are: nobody writes to them any more. */
  set(adapterDigest: string, promptTokens: readonly number[], prompt: PreparedPrompt): void {
    this.#prompts?.set(keyOf(adapterDigest, promptTokens), prompt);
  }
}

function keyOf(adapterDigest: string, promptTokens: readonly number[]): string {
  return `${adapterDigest} ${promptTokens.join()}`;
}

function bytesOf({ prefix, logits }: PreparedPrompt, key: string): number {
  return prefix.parts.reduce((sum, part) => sum + part.byteLength, logits.byteLength + key.length);
}
