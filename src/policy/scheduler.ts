/**
 * Continuous batching: requests join and leave between any two steps.
 *
 * A turn computes at most one chunk's worth of prompts and then one decode step of one group of rows, so that neither
 * long prompts nor long completions hold the others up; groups (versions, lengths) take turns. A request's version is
 * leased when it leaves the queue and kept to its end. Candidates start from one copy of their prompt's keys and values.
 */

import { HoneError } from '../errors.js';
import type { PackageTokenizer } from '../package/types.js';
import type { Decoder } from './decoder.js';
import type { HeldVersions } from './held-versions.js';
import { KvCache } from './kv-cache.js';
import { newStepMessage, type StepMessage } from './messages.js';
import { PrefixCache } from './prefix-cache.js';
import { type RowGroup, RowGroups } from './row-groups.js';
import { SamplingScratch } from './sampler.js';
import { type ActiveRequest, type PreparedPrompt, Sequence, type SequenceEnd } from './sequence.js';
import type { CompletionRequest } from './types.js';

export interface SchedulerOptions {
  readonly decoder: Decoder;
  readonly versions: HeldVersions;
  readonly tokenizer: PackageTokenizer;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly maxSequences: number;
  readonly prefillChunk: number;
  readonly prefixCacheBytes: number;
}

interface QueuedRequest {
  readonly id: number;
  readonly completion: CompletionRequest;
}

const cancelled: SequenceEnd = { reason: 'cancelled', endOfSequence: false };

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #scratch: SamplingScratch;
  readonly #limits: { readonly contextLength: number; readonly eos: ReadonlySet<number> };
  #queue: QueuedRequest[] = [];
  /** Requests whose prompts are being computed; the first is next. */
  #prefilling: ActiveRequest[] = [];
  /** Requests with candidates that wait for slots. */
  #starting: ActiveRequest[] = [];
  readonly #groups: RowGroups;
  readonly #prefixes: PrefixCache;
  readonly #cancelled = new Set<number>();
  readonly #nextTokens: Int32Array;
  #message = newStepMessage();

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#scratch = new SamplingScratch(options.vocabularySize);
    this.#limits = { contextLength: options.contextLength, eos: new Set(options.eosTokenIds) };
    this.#groups = new RowGroups(options.decoder.shape);
    this.#prefixes = new PrefixCache(options.prefixCacheBytes);
    this.#nextTokens = new Int32Array(options.maxSequences);
  }

  get runningSequences(): number {
    return this.#groups.rows;
  }

  /** Whether a turn would have anything to do. */
  get busy(): boolean {
    return this.#queue.length + this.#prefilling.length + this.#starting.length + this.#groups.rows > 0;
  }

  submit(id: number, completion: CompletionRequest): void {
    this.#queue.push({ id, completion });
  }

  /** The request's candidates end before the next step. Unknown ids are those that ended already. */
  cancel(id: number): void {
    this.#cancelled.add(id);
  }

  /**
   * One turn.
   * @returns what happened, to be sent on
   * @throws HoneError `INTERNAL` when the model cannot be run; the worker's state is then lost
   */
  async turn(): Promise<StepMessage> {
    const message = newStepMessage();
    this.#message = message;
    this.#dropCancelled();
    this.#admit();
    const startedAt = performance.now();
    await this.#prefill();
    const prefilledAt = performance.now();
    this.#startCandidates();
    const group = this.#groups.next();
    if (group !== undefined) {
      message.turn.groups = 1;
      message.turn.decodedRows = group.sequences.length;
      await this.#decode(group);
      message.turn.decodeMs = performance.now() - prefilledAt;
    }
    if (message.turn.prefillTokens > 0) message.turn.prefillMs = prefilledAt - startedAt;
    return message;
  }

  #dropCancelled(): void {
    if (this.#cancelled.size === 0) return;
    const gone = (id: number): boolean => this.#cancelled.has(id);
    for (const { id, completion } of this.#queue) {
      if (gone(id)) this.#finishUnstarted(id, 0, completion.candidates.length);
    }
    this.#queue = this.#queue.filter(({ id }) => !gone(id));
    for (const sequence of this.#groups.sequences) {
      if (gone(sequence.request.id)) this.#finish(sequence, cancelled);
    }
    this.#groups.removeWhere((sequence) => gone(sequence.request.id));
    for (const request of [...this.#prefilling, ...this.#starting]) {
      if (!gone(request.id)) continue;
      this.#finishUnstarted(request.id, request.nextCandidate, request.completion.candidates.length);
      this.#options.versions.release(request.version);
    }
    this.#prefilling = this.#prefilling.filter(({ id }) => !gone(id));
    this.#starting = this.#starting.filter(({ id }) => !gone(id));
    this.#cancelled.clear();
  }

  #finishUnstarted(id: number, from: number, to: number): void {
    for (let candidate = from; candidate < to; candidate++) {
      this.#message.finished.push({ request: id, candidate, ...cancelled, text: '' });
    }
  }

  /** Requests leave the queue, in order, while slots are not spoken for. */
  #admit(): void {
    let spokenFor = this.#groups.rows;
    for (const { completion, nextCandidate } of [...this.#prefilling, ...this.#starting]) {
      spokenFor += completion.candidates.length - nextCandidate;
    }
    while (spokenFor < this.#options.maxSequences) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      const { id, completion } = next;
      try {
        const version = this.#options.versions.lease(completion.version);
        const { number, adapterDigest } = version;
        const known = this.#prefixes.get(adapterDigest, completion.promptTokens);
        const cachedPromptTokens = known === undefined ? 0 : completion.promptTokens.length;
        (known === undefined ? this.#prefilling : this.#starting).push({
          id,
          completion,
          version,
          prefilled: cachedPromptTokens,
          prefillCache: null,
          prompt: known ?? null,
          nextCandidate: 0,
          unfinished: completion.candidates.length,
        });
        this.#message.started.push({ request: id, version: number, adapterDigest, cachedPromptTokens });
        spokenFor += completion.candidates.length;
      } catch (thrown) {
        this.#message.refused.push({ request: id, error: HoneError.from(thrown).toJSON() });
      }
    }
  }

  /** Chunks of prompts, a chunk per prompt in turn, until the turn's share of tokens is spent. */
  async #prefill(): Promise<void> {
    let budget = this.#options.prefillChunk;
    while (budget > 0) {
      const request = this.#prefilling.shift();
      if (request === undefined) return;
      const { promptTokens } = request.completion;
      const chunk = promptTokens.slice(request.prefilled, request.prefilled + this.#options.prefillChunk);
      request.prompt = await this.#computeChunk(request, chunk);
      request.prefilled += chunk.length;
      budget -= chunk.length;
      this.#message.turn.prefillTokens += chunk.length;
      this.#message.steps += 1;
      if (request.prefilled === promptTokens.length) {
        this.#prefixes.set(request.version.adapterDigest, promptTokens, request.prompt);
        this.#starting.push(request);
      } else {
        this.#prefilling.push(request);
      }
    }
  }

  async #computeChunk(request: ActiveRequest, chunk: readonly number[]): Promise<PreparedPrompt> {
    const { decoder } = this.#options;
    const { feeds } = request.version;
    if (request.prefilled === 0) {
      const { prefix, logits } = await decoder.prefill(chunk, feeds);
      return { prefix, logits: logits.data };
    }
    if (request.prefillCache === null) {
      request.prefillCache = new KvCache(decoder.shape);
      request.prefillCache.append((request.prompt as PreparedPrompt).prefix);
    }
    const logits = await decoder.prefillMore(request.prefillCache, chunk, feeds);
    return { prefix: request.prefillCache.prefixOf(0), logits: logits.data };
  }

  /** Candidates draw their first token from their prompt's logits and join a group. */
  #startCandidates(): void {
    while (this.#groups.rows < this.#options.maxSequences) {
      const request = this.#starting[0];
      if (request === undefined) return;
      const { prefix, logits } = request.prompt as PreparedPrompt;
      const { tokenizer } = this.#options;
      const sequence = new Sequence(request, request.nextCandidate, tokenizer, this.#scratch, this.#limits);
      request.nextCandidate += 1;
      if (request.nextCandidate === request.completion.candidates.length) {
        this.#starting.shift();
        request.prompt = null;
        request.prefillCache = null;
      }
      if (!this.#advance(sequence, logits, 0)) this.#groups.add(sequence, prefix);
    }
  }

  async #decode(group: RowGroup): Promise<void> {
    const { cache, sequences, version } = group;
    for (let row = 0; row < sequences.length; row++) this.#nextTokens[row] = (sequences[row] as Sequence).token;
    const { data, vocabularySize } = await this.#options.decoder.step(cache, this.#nextTokens, version.feeds);
    this.#message.steps += 1;
    const ended = new Set<Sequence>();
    for (let row = 0; row < sequences.length; row++) {
      const sequence = sequences[row] as Sequence;
      if (this.#advance(sequence, data, row * vocabularySize)) ended.add(sequence);
    }
    if (ended.size > 0) this.#groups.removeWhere((sequence) => ended.has(sequence));
  }

  /** Draws a sequence's next token. @returns whether it ended */
  #advance(sequence: Sequence, logits: Float32Array, offset: number): boolean {
    let end: SequenceEnd | null;
    try {
      end = sequence.advance(logits, offset, this.#message);
    } catch {
      // Logits that are not finite concern one version; the others go on.
      end = { reason: 'error', endOfSequence: false };
    }
    if (end === null) return false;
    this.#finish(sequence, end);
    return true;
  }

  #finish(sequence: Sequence, end: SequenceEnd): void {
    const { request } = sequence;
    sequence.finish(end, this.#message);
    request.unfinished -= 1;
    if (request.unfinished === 0) this.#options.versions.release(request.version);
  }
}
