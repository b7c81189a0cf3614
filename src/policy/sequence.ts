/** What runs in the worker: a request with its prompt, and one sequence per candidate. */

import type { PackageTokenizer, TokenDecoder } from '../package/types.js';
import type { HeldVersion } from './held-versions.js';
import type { KvCache, Prefix } from './kv-cache.js';
import type { StepMessage } from './messages.js';
import { Sampler, type SamplingScratch } from './sampler.js';
import { StopText } from './stop-text.js';
import type { CompletionRequest, FinishReason } from './types.js';

/** A request's prompt, computed: candidates start from it as slots become free. */
export interface PreparedPrompt {
  readonly prefix: Prefix;
  /** After the prompt's last token. */
  readonly logits: Float32Array;
}

/** A request on its way from the queue to its last candidate. */
export interface ActiveRequest {
  readonly id: number;
  readonly completion: CompletionRequest;
  readonly version: HeldVersion;
  /** Prompt tokens computed so far. */
  prefilled: number;
  /** Holds the chunks of a prompt that takes several. */
  prefillCache: KvCache | null;
  prompt: PreparedPrompt | null;
  /** The next candidate to start. */
  nextCandidate: number;
  unfinished: number;
}

/** Why and how a sequence ended. */
export interface SequenceEnd {
  readonly reason: FinishReason;
  readonly endOfSequence: boolean;
}

/** One candidate from its first token to its end. */
export class Sequence {
  readonly request: ActiveRequest;
  readonly candidate: number;
  /** The last token sampled: the next to be fed. */
  token = 0;
  #sampled = 0;
  readonly #limit: number;
  readonly #eos: ReadonlySet<number>;
  readonly #sampler: Sampler;
  readonly #decoder: TokenDecoder;
  readonly #text: StopText;

  constructor(
    request: ActiveRequest,
    candidate: number,
    tokenizer: PackageTokenizer,
    scratch: SamplingScratch,
    limits: { readonly contextLength: number; readonly eos: ReadonlySet<number> },
  ) {
    const { sampling, promptTokens, candidates } = request.completion;
    this.request = request;
    this.candidate = candidate;
    // The last token is never fed, so that it needs no room in the context; agents count it all the same.
    this.#limit = Math.min(sampling.maxTokens, limits.contextLength - promptTokens.length);
    this.#eos = limits.eos;
    this.#sampler = new Sampler(sampling, promptTokens, candidates[candidate]?.seed ?? 0, scratch);
    this.#decoder = tokenizer.createDecoder();
    this.#text = new StopText(sampling.stop);
  }

  /**
   * Draws the next token and reports it.
   * @returns how the sequence ended with it, or null when it goes on
   */
  advance(logits: Float32Array, offset: number, message: StepMessage): SequenceEnd | null {
    const { ignoreEos, topLogprobs } = this.request.completion.sampling;
    const sampled = this.#sampler.sample(logits, offset);
    this.token = sampled.token;
    this.#sampled += 1;
    const { tokens } = message;
    tokens.request.push(this.request.id);
    tokens.candidate.push(this.candidate);
    tokens.token.push(sampled.token);
    tokens.logprob.push(sampled.logprob);
    tokens.sampledLogprob.push(sampled.sampledLogprob);
    tokens.text.push(this.#text.push(this.#decoder.push(sampled.token)));
    if (topLogprobs > 0) tokens.top[tokens.token.length - 1] = sampled.top;
    if (!ignoreEos && this.#eos.has(sampled.token)) return { reason: 'stop', endOfSequence: true };
    if (this.#text.stopped) return { reason: 'stop', endOfSequence: false };
    return this.#sampled >= this.#limit ? { reason: 'length', endOfSequence: false } : null;
  }

  /** Reports the end, with the text that was held back. */
  finish({ reason, endOfSequence }: SequenceEnd, message: StepMessage): void {
    const text = this.#text.push(this.#decoder.flush()) + this.#text.flush();
    message.finished.push({ request: this.request.id, candidate: this.candidate, reason, endOfSequence, text });
  }
}
