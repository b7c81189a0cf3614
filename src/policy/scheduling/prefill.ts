/**
 * Computes prompts in chunks. Prompts take turns, one chunk each, and start after the part that the prefix cache has.
 *
 * The prefix cache is searched before every chunk, so that requests that arrive together with the same beginning
 * compute it only once.
 */

import type { Decoder, StepLogits } from '../graph/decoder.js';
import type { KvArena } from '../kv/kv-arena.js';
import { KvCache, type Prefix } from '../kv/kv-cache.js';
import { blockLength, type PrefixCache } from '../kv/prefix-cache.js';
import { type StepMessage, sinceEpochMs } from '../messages.js';
import type { ActiveRequest } from './active-request.js';

interface PrefillOptions {
  readonly decoder: Decoder;
  readonly arena: KvArena;
  readonly prefixes: PrefixCache;
  /** Most tokens of all prompts together in a turn. */
  readonly prefillChunk: number;
  /** Called before each run of the model. */
  readonly onRun: (request: ActiveRequest) => void;
  /** Whether the model may now be run for background requests alone. If so, counts the run. */
  readonly spendOnBackground: () => boolean;
}

interface Prefilled {
  /** Requests whose prompts are complete. */
  readonly ready: readonly ActiveRequest[];
  /** Tokens that were computed. */
  readonly tokens: number;
}

export class Prefill {
  readonly #options: PrefillOptions;
  /** In the order of their turns. */
  #requests: ActiveRequest[] = [];

  constructor(options: PrefillOptions) {
    this.#options = options;
  }

  /** Number of prompts that are being computed. Each holds a slot for its request's first completion. */
  get size(): number {
    return this.#requests.length;
  }

  /** Number of prompts of background requests. */
  get background(): number {
    return this.#requests.reduce((count, { background }) => count + (background ? 1 : 0), 0);
  }

  has(request: ActiveRequest): boolean {
    return this.#requests.includes(request);
  }

  add(request: ActiveRequest): void {
    this.#requests.push(request);
  }

  remove(request: ActiveRequest): void {
    this.#requests = this.#requests.filter((other) => other !== request);
  }

  /** Computes chunks until the turn's tokens are spent. */
  async run(message: StepMessage): Promise<Prefilled> {
    const { prefillChunk } = this.#options;
    const ready: ActiveRequest[] = [];
    let tokens = 0;
    while (tokens < prefillChunk) {
      const request = this.#next();
      if (request === undefined) break;
      this.#begin(request, message);
      const { promptTokens } = request.spec;
      const left = promptTokens.length - request.prefilled;
      const length = Math.min(left, prefillChunk - tokens);
      // A run of few tokens costs nearly as much as one of a whole block, so a short rest is left for the next turn.
      if (length < left && length < Math.min(blockLength, prefillChunk)) break;
      this.remove(request);
      const chunk = promptTokens.slice(request.prefilled, request.prefilled + length);
      this.#options.onRun(request);
      (await this.#compute(request, chunk)) ? ready.push(request) : this.#requests.push(request);
      tokens += length;
      message.steps += 1;
    }
    return { ready, tokens };
  }

  /** Returns the request whose turn it is. Background requests come last, and only if the model may be run for them. */
  #next(): ActiveRequest | undefined {
    const first = this.#requests.find(({ background }) => !background);
    if (first !== undefined || this.#requests.length === 0) return first;
    return this.#options.spendOnBackground() ? this.#requests[0] : undefined;
  }

  /** Takes blocks of the prompt from the prefix cache, and reports the request as started before its first chunk. */
  #begin(request: ActiveRequest, message: StepMessage): void {
    const { prefixes, arena } = this.#options;
    const { adapterDigest, number } = request.leased;
    if (request.prefilled % blockLength === 0) {
      const found = prefixes.find(adapterDigest, request.spec.promptTokens, request.prefilled);
      if (found.length > 0) {
        if (request.prefillCache === null) {
          request.prefillCache = new KvCache(arena, false);
          request.prefillCache.appendEmpty(found.length * blockLength);
        }
        for (const block of found) {
          request.prefillCache.reserveColumns(blockLength);
          request.prefillCache.write(block, blockLength);
        }
        request.prefilled += found.length * blockLength;
      }
    }
    if (request.started) return;
    request.started = true;
    prefixes.countLookup(request.spec.promptTokens.length);
    message.started.push({
      request: request.id,
      version: number,
      adapterDigest,
      cachedPromptTokens: request.prefilled,
      queuedMs: sinceEpochMs() - request.submittedAtMs,
    });
  }

  /** Computes the next chunk and stores complete blocks in the prefix cache. @returns whether the prompt is complete */
  async #compute(request: ActiveRequest, chunk: readonly number[]): Promise<boolean> {
    const { decoder, arena } = this.#options;
    const { feeds } = request.leased;
    const { promptTokens, completions } = request.spec;
    let cache = request.prefillCache;
    let prefix: Prefix | null = null;
    let logits: StepLogits;
    if (cache === null) {
      const first = await decoder.prefill(chunk, feeds);
      logits = first.logits;
      prefix = first.prefix;
      if (chunk.length < promptTokens.length || completions.length > 1) {
        cache = new KvCache(arena, false);
        cache.append(prefix);
        request.prefillCache = cache;
      }
    } else logits = await decoder.prefillMore(cache, chunk, feeds);
    request.prefilled += chunk.length;
    // If the numbers overflow, the rest of the prompt is not computed. The completions will end with an error.
    const damaged = !Number.isFinite(logits.data[0]);
    if (damaged) cache?.zero(0);
    else this.#store(request, cache?.prefixOf(0) ?? (prefix as Prefix));
    if (request.prefilled < promptTokens.length && !damaged) return false;
    request.prompt = { cache, prefix: cache === null ? prefix : null, logits };
    return true;
  }

  #store({ leased, spec }: ActiveRequest, prefix: Prefix): void {
    this.#options.prefixes.store(leased.adapterDigest, spec.promptTokens, prefix);
  }
}
