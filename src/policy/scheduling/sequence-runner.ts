/** Runs the sequences of requests: starts them from computed prompts, decodes their rows, and ends them. */

import type { Decoder, StepLogits } from '../graph/decoder.js';
import type { HeldVersions } from '../held-versions.js';
import type { KvBudget } from '../kv/kv-budget.js';
import type { KvCache, Prefix } from '../kv/kv-cache.js';
import type { PrefixCache } from '../kv/prefix-cache.js';
import type { ActiveRequest, PreparedPrompt } from './active-request.js';
import type { RowGroup, RowGroups } from './row-groups.js';
import { Sequence, type SequenceContext, type SequenceEnd } from './sequence.js';
import type { SlotQueue } from './slot-queue.js';
import type { StepOutbox } from './step-outbox.js';

interface SequenceRunnerOptions {
  readonly decoder: Decoder;
  readonly versions: HeldVersions;
  readonly budget: KvBudget;
  readonly slots: SlotQueue;
  readonly groups: RowGroups;
  readonly prefixes: PrefixCache;
  readonly outbox: StepOutbox;
  readonly context: SequenceContext;
  readonly maxSequences: number;
  /** Most columns of finished sequences that go to the prefix cache in a turn; the last sequence may exceed it. */
  readonly keptColumnsPerTurn: number;
  /** Called when a request has ended and holds nothing any more. */
  readonly onEnd: (request: ActiveRequest) => void;
}

export class SequenceRunner {
  readonly #options: SequenceRunnerOptions;
  readonly #nextTokens: Int32Array;
  #turn = 0;
  /** Columns of finished sequences that went to the prefix cache in this turn. */
  #keptColumns = 0;

  constructor(options: SequenceRunnerOptions) {
    this.#options = options;
    this.#nextTokens = new Int32Array(options.maxSequences);
  }

  startTurn(): void {
    this.#turn += 1;
    this.#keptColumns = 0;
  }

  /** Starts the next completion of a request: draws its first token from the prompt's logits and adds a row for it. */
  start(request: ActiveRequest): void {
    const { budget, slots, context } = this.#options;
    const prompt = request.prompt as PreparedPrompt;
    const last = request.startsLast;
    const sequence = new Sequence(request, request.nextCompletion, context);
    request.nextCompletion += 1;
    request.chargedCompletion = 0;
    const end = this.#advance(sequence, prompt.logits, 0);
    if (end === null) this.#join(sequence, prompt, last || request.columns.prompt === 0);
    if (last) {
      budget.release(request.chargedPrompt);
      request.chargedPrompt = 0;
    }
    // If the prompt has no memory of its own beside its completions, each completion computes it again.
    if (last || request.columns.prompt === 0) request.dropPrompt();
    if (!last) slots.add(request);
    if (end !== null) this.finish(sequence, end);
  }

  #join(sequence: Sequence, { cache, prefix }: PreparedPrompt, takes: boolean): void {
    const { groups } = this.#options;
    if (cache === null) groups.add(sequence, prefix as Prefix);
    else if (takes) groups.addTaken(sequence, cache);
    else groups.addCopy(sequence, cache);
  }

  /** Runs one decode step of a group. */
  async step(group: RowGroup): Promise<void> {
    const { decoder, groups, outbox } = this.#options;
    const { cache, sequences, version } = group;
    group.lastTurn = this.#turn;
    const nextTokens = this.#nextTokens;
    for (let row = 0; row < sequences.length; row++) nextTokens[row] = (sequences[row] as Sequence).token;
    const logits = await decoder.step(cache, nextTokens, version.feeds);
    outbox.message.steps += 1;
    let ended: Set<Sequence> | null = null;
    for (let row = 0; row < sequences.length; row++) {
      const sequence = sequences[row] as Sequence;
      const end = this.#advance(sequence, logits, row);
      if (end === null) continue;
      if (end.reason === 'error') cache.zero(row);
      else this.#keep(sequence, cache, row);
      this.finish(sequence, end);
      ended ??= new Set();
      ended.add(sequence);
    }
    if (ended !== null) groups.removeWhere((sequence) => (ended as Set<Sequence>).has(sequence));
  }

  /** Stores a finished sequence in the prefix cache, because a later prompt may begin with it. */
  #keep({ request, tokens }: Sequence, cache: KvCache, row: number): void {
    if (request.background || this.#keptColumns >= this.#options.keptColumnsPerTurn) return;
    const all = request.spec.promptTokens.concat(tokens);
    this.#keptColumns += tokens.length;
    this.#options.prefixes.store(request.leased.adapterDigest, all, cache.prefixOf(row));
  }

  /** Draws the next token of a sequence. @returns how the sequence ended with it, or `null` if it goes on */
  #advance(sequence: Sequence, logits: StepLogits, row: number): SequenceEnd | null {
    try {
      return sequence.advance(logits, row, this.#options.outbox.message);
    } catch {
      // The logits are not finite. That concerns one version; sequences of others go on.
      return { reason: 'error', endOfSequence: false };
    }
  }

  /** Ends a sequence, and its request with the last one. */
  finish(sequence: Sequence, end: SequenceEnd): void {
    sequence.finish(end, this.#options.outbox.message);
    this.#options.budget.release(sequence.columns);
    sequence.request.unfinished -= 1;
    if (sequence.request.unfinished === 0) this.end(sequence.request);
  }

  /** Releases everything that a request holds besides its sequences. */
  end(request: ActiveRequest): void {
    request.dropPrompt();
    this.#options.slots.release(request);
    if (request.version !== null) this.#options.versions.release(request.version);
    this.#options.onEnd(request);
  }
}
