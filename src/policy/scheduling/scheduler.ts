/**
 * Continuous batching: requests join and leave between any two steps.
 *
 * A turn computes at most one chunk's worth of prompts, and then one decode step of every group of rows, so that a long
 * prompt holds running streams up for one chunk at most, however many versions and lengths run at once. A request's
 * version is leased when it leaves the queue and kept to its end. Slots go round the requests that wait (`slots.ts`),
 * and nothing starts before the memory that it can come to need is its own (`kv-budget.ts`). Requests that nobody waits
 * for give way to the others (`background.ts`).
 */

import { HoneError } from '../../errors.js';
import type { TokenBytes } from '../../package/index.js';
import type { CompletionRequest } from '../completion-request.js';
import type { Decoder, StepLogits } from '../graph/decoder.js';
import type { HeldVersions } from '../held-versions.js';
import { KvArena } from '../kv/kv-arena.js';
import { KvBudget } from '../kv/kv-budget.js';
import type { KvCache, Prefix } from '../kv/kv-cache.js';
import { PrefixCache } from '../kv/prefix-cache.js';
import { newStepMessage, type StepMessage, type WorkerStatus } from '../messages.js';
import { SamplingScratch } from '../sampling/sampler.js';
import { ActiveRequest, type PreparedPrompt } from './active-request.js';
import { Background, type Others } from './background.js';
import { Parking } from './parking.js';
import { Prefill } from './prefill.js';
import { type RowGroup, RowGroups } from './row-groups.js';
import { Sequence, type SequenceContext, type SequenceEnd } from './sequence.js';
import { Slots } from './slots.js';

export interface SchedulerOptions {
  readonly decoder: Decoder;
  readonly versions: HeldVersions;
  readonly tokenBytes: TokenBytes;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly maxSequences: number;
  readonly prefillChunk: number;
  readonly kvMemoryBytes: number;
  readonly prefixCacheBytes: number;
}

type Emit = (message: StepMessage) => void;
type Order = 'cancel' | 'park' | 'resume';

const cancelled: SequenceEnd = { reason: 'cancelled', endOfSequence: false };

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #context: SequenceContext;
  readonly #requests = new Map<number, ActiveRequest>();
  readonly #orders: { readonly order: Order; readonly id: number }[] = [];
  readonly #budget: KvBudget;
  readonly #slots: Slots;
  readonly #prefixes: PrefixCache;
  readonly #prefill: Prefill;
  readonly #groups: RowGroups;
  readonly #parking = new Parking();
  readonly #background: Background;
  readonly #nextTokens: Int32Array;
  #turns = 0;
  #message = newStepMessage();
  /** Columns of finished sequences that went to the prefix cache in this turn. */
  /** Told when the prefix cache has been cleared. */
  readonly #clearings: (() => void)[] = [];
  #keptColumns = 0;

  /** @throws HoneError `INVALID_OPTIONS` when the memory does not hold one sequence of full context */
  constructor(options: SchedulerOptions) {
    const { decoder, tokenBytes, contextLength, vocabularySize, eosTokenIds } = options;
    this.#options = options;
    this.#context = {
      tokenBytes,
      scratch: new SamplingScratch(vocabularySize),
      contextLength,
      eos: new Set(eosTokenIds),
    };
    this.#budget = new KvBudget(decoder.shape, contextLength, options.kvMemoryBytes);
    const arena = new KvArena(decoder.shape, this.#budget.columns);
    this.#slots = new Slots(this.#budget);
    this.#prefixes = new PrefixCache(decoder.shape, options.prefixCacheBytes);
    this.#background = new Background(options.maxSequences);
    this.#prefill = new Prefill({
      decoder,
      arena,
      prefixes: this.#prefixes,
      prefillChunk: options.prefillChunk,
      spendOnBackground: () => this.#background.spend(this.#others()),
    });
    this.#groups = new RowGroups(arena, contextLength);
    this.#nextTokens = new Int32Array(options.maxSequences);
  }

  get status(): Omit<WorkerStatus, 'heldVersions'> {
    return {
      runningSequences: this.#groups.rows,
      parkedRequests: this.#parking.size,
      backgroundRequests: this.#background.size,
      kvBytesUsed: this.#budget.usedBytes,
      kvBytesBudget: this.#budget.maxBytes,
      prefixCache: this.#prefixes.status,
    };
  }

  /** Whether every request has come to its end. */
  get idle(): boolean {
    return this.#requests.size === 0;
  }

  /** Forgets what is kept of earlier prompts and completions, before the next turn and after the orders given so far. */
  clearPrefixes(done: () => void): void {
    this.#clearings.push(done);
  }

  /** @param submittedAtMs in milliseconds since 1970 */
  submit(id: number, spec: CompletionRequest, submittedAtMs: number): void {
    const request = new ActiveRequest(id, spec, submittedAtMs, this.#budget.columnsFor(spec));
    this.#requests.set(id, request);
    if (request.background) this.#background.add(request);
    this.#slots.add(request);
  }

  /** The request's completions end before the next step. Unknown ids are those that ended already. */
  cancel(id: number): void {
    this.#orders.push({ order: 'cancel', id });
  }

  /** The same for those in the background that `which` names. */
  cancelBackground(which: (request: ActiveRequest) => boolean): void {
    for (const request of this.#background.requests) if (which(request)) this.cancel(request.id);
  }

  /** Nothing more is computed for the request after the present step, until {@link Scheduler.resume}. */
  park(id: number): void {
    this.#orders.push({ order: 'park', id });
  }

  resume(id: number): void {
    this.#orders.push({ order: 'resume', id });
  }

  /**
   * One turn.
   * @param emit sends what happened on; tokens leave as soon as they are drawn
   * @param swapMs how long a swap held the turn up
   * @returns whether anything happened: if not, nothing will until something arrives
   * @throws HoneError `INTERNAL` when the model cannot be run; the worker's state is then lost
   */
  async turn(emit: Emit, swapMs = 0): Promise<boolean> {
    this.#message = newStepMessage();
    this.#keptColumns = 0;
    this.#turns += 1;
    this.#background.startTurn();
    let happened = this.#follow();
    this.#fillSlots();
    const startedAt = performance.now();
    const { ready, tokens: prefillTokens } = await this.#prefill.run(this.#message);
    const prefillMs = prefillTokens === 0 ? 0 : performance.now() - startedAt;
    for (const request of ready) {
      if (request.parked) this.#parking.holdBack(request);
      else this.#startNext(request);
    }
    this.#fillSlots();
    const decodedAt = performance.now();
    let [groups, decodedRows] = [0, 0];
    for (const group of this.#inOrder(this.#groups.settled())) {
      if (this.#isBackground(group) && !this.#background.spend(this.#others())) continue;
      happened = this.#flush(emit) || happened;
      groups += 1;
      decodedRows += group.sequences.length;
      await this.#decode(group);
    }
    if (prefillTokens + decodedRows > 0) {
      const decodeMs = decodedRows === 0 ? 0 : performance.now() - decodedAt;
      this.#message.turn = { prefillMs, prefillTokens, decodeMs, decodedRows, groups, swapMs };
    }
    return this.#flush(emit) || happened;
  }

  /** Those of the background last, each in its turn. */
  #inOrder(groups: readonly RowGroup[]): readonly RowGroup[] {
    if (this.#background.size === 0) return groups;
    const background = groups.filter((group) => this.#isBackground(group)).sort((a, b) => a.lastTurn - b.lastTurn);
    return [...groups.filter((group) => !this.#isBackground(group)), ...background];
  }

  /** Whether only requests in the background have rows in it. */
  #isBackground({ sequences }: RowGroup): boolean {
    return this.#background.size > 0 && sequences.every(({ request }) => request.background);
  }

  #others(): Others {
    if (this.#othersWait || this.#prefill.size > this.#prefill.background) return 'wait';
    return this.#groups.count(({ request }) => !request.background) > 0 ? 'run' : 'rest';
  }

  get #othersWait(): boolean {
    return this.#slots.waits || this.#parking.waits;
  }

  /** Sends what has gathered. @returns whether there was anything */
  #flush(emit: Emit): boolean {
    const message = this.#message;
    const { started, tokens, finished, refused, steps } = message;
    if (started.length + tokens.token.length + finished.length + refused.length + steps === 0) return false;
    this.#message = newStepMessage();
    emit(message);
    return true;
  }

  /** Follows the orders that arrived, in order. @returns whether there were any */
  #follow(): boolean {
    if (this.#orders.length === 0 && this.#clearings.length === 0) return false;
    for (const { order, id } of this.#orders) {
      const request = this.#requests.get(id);
      if (request === undefined) continue;
      if (order === 'cancel') this.#drop(request);
      else if (order === 'park') this.#park(request);
      else if (this.#parking.resume(request)) this.#slots.add(request);
    }
    this.#orders.length = 0;
    for (const done of this.#clearings.splice(0)) {
      this.#prefixes.clear();
      done();
    }
    return true;
  }

  #park(request: ActiveRequest): void {
    if (request.parked) return;
    const rows = this.#groups.takeWhere((sequence) => sequence.request === request);
    this.#parking.park(request, rows, this.#slots.remove(request));
  }

  #drop(request: ActiveRequest): void {
    this.#prefill.remove(request);
    this.#slots.remove(request);
    for (const { sequence, cache } of this.#parking.remove(request)) {
      cache.clear();
      this.#finish(sequence, cancelled);
    }
    for (const sequence of this.#groups.sequences) {
      if (sequence.request === request) this.#finish(sequence, cancelled);
    }
    this.#groups.removeWhere((sequence) => sequence.request === request);
    const { completions } = request.spec;
    for (let completion = request.nextCompletion; completion < completions.length; completion++) {
      this.#message.finished.push({ request: request.id, completion, ...cancelled, text: '' });
    }
    if (request.nextCompletion < completions.length) this.#end(request);
  }

  /** Requests leave the queue, and completions start, while there are slots and memory. */
  #fillSlots(): void {
    const { maxSequences } = this.#options;
    for (;;) {
      const free = this.#groups.rows + this.#prefill.size < maxSequences;
      if (free && this.#startOne(false)) continue;
      if (this.#othersWait) {
        if (!this.#giveWay(free ? ({ holdsMemory }) => holdsMemory : (request) => this.#holdsSlot(request))) return;
      } else if (!free || !this.#backgroundMayStart() || !this.#startOne(true)) return;
    }
  }

  /** Starts what is next, of the background or of the others. @returns whether there was anything that could */
  #startOne(background: boolean): boolean {
    const resumed = this.#parking.nextResumed(background);
    if (resumed !== undefined) {
      this.#groups.addTaken(resumed.sequence, resumed.cache);
      return true;
    }
    const request = this.#slots.next(background);
    if (request === undefined) return false;
    if (request.prompt !== null) this.#startNext(request);
    else if (this.#lease(request)) this.#prefill.add(request);
    return true;
  }

  /** Ends the youngest request in the background of those that `which` names. @returns whether there was one */
  #giveWay(which: (request: ActiveRequest) => boolean): boolean {
    const youngest = this.#background.youngest(which);
    if (youngest !== undefined) this.#drop(youngest);
    return youngest !== undefined;
  }

  #holdsSlot(request: ActiveRequest): boolean {
    return this.#prefill.has(request) || this.#groups.count((sequence) => sequence.request === request) > 0;
  }

  #backgroundMayStart(): boolean {
    if (this.#background.size === 0) return false;
    return this.#background.mayTake(this.#prefill.background + this.#groups.count(({ request }) => request.background));
  }

  #lease(request: ActiveRequest): boolean {
    if (request.version !== null) return true;
    try {
      request.version = this.#options.versions.lease(request.spec.version);
      return true;
    } catch (thrown) {
      this.#message.refused.push({ request: request.id, error: HoneError.from(thrown).toJSON() });
      this.#end(request);
      return false;
    }
  }

  /** The next completion draws its first token from its prompt's logits and joins a group. */
  #startNext(request: ActiveRequest): void {
    const prompt = request.prompt as PreparedPrompt;
    const last = request.startsLast;
    const sequence = new Sequence(request, request.nextCompletion, this.#context);
    request.nextCompletion += 1;
    request.chargedCompletion = 0;
    const end = this.#advance(sequence, prompt.logits, 0);
    if (end === null) this.#join(sequence, prompt, last || request.columns.prompt === 0);
    if (last) {
      this.#budget.release(request.chargedPrompt);
      request.chargedPrompt = 0;
    }
    // Where there is no room for a prompt beside its completions, each of them computes it.
    if (last || request.columns.prompt === 0) request.dropPrompt();
    if (!last) this.#slots.add(request);
    if (end !== null) this.#finish(sequence, end);
  }

  #join(sequence: Sequence, { cache, prefix }: PreparedPrompt, takes: boolean): void {
    if (cache === null) this.#groups.add(sequence, prefix as Prefix);
    else if (takes) this.#groups.addTaken(sequence, cache);
    else this.#groups.addCopy(sequence, cache);
  }

  async #decode(group: RowGroup): Promise<void> {
    const { cache, sequences, version } = group;
    group.lastTurn = this.#turns;
    const nextTokens = this.#nextTokens;
    for (let row = 0; row < sequences.length; row++) nextTokens[row] = (sequences[row] as Sequence).token;
    const logits = await this.#options.decoder.step(cache, nextTokens, version.feeds);
    this.#message.steps += 1;
    let ended: Set<Sequence> | null = null;
    for (let row = 0; row < sequences.length; row++) {
      const sequence = sequences[row] as Sequence;
      const end = this.#advance(sequence, logits, row);
      if (end === null) continue;
      if (end.reason === 'error') cache.zero(row);
      else this.#keep(sequence, cache, row);
      this.#finish(sequence, end);
      ended ??= new Set();
      ended.add(sequence);
    }
    if (ended !== null) this.#groups.removeWhere((sequence) => (ended as Set<Sequence>).has(sequence));
  }

  /** A finished sequence that somebody got may be the beginning of a later prompt. At most a chunk's worth, or one sequence, a turn. */
  #keep({ request, tokens }: Sequence, cache: KvCache, row: number): void {
    if (request.background || this.#keptColumns >= this.#options.prefillChunk) return;
    const all = request.spec.promptTokens.concat(tokens);
    this.#keptColumns += tokens.length;
    this.#prefixes.store(request.leased.adapterDigest, all, cache.prefixOf(row));
  }

  /** Draws a sequence's next token. @returns how it ended with it, or null */
  #advance(sequence: Sequence, logits: StepLogits, row: number): SequenceEnd | null {
    try {
      return sequence.advance(logits, row, this.#message);
    } catch {
      // Logits that are not finite concern one version; the others go on.
      return { reason: 'error', endOfSequence: false };
    }
  }

  #finish(sequence: Sequence, end: SequenceEnd): void {
    sequence.finish(end, this.#message);
    this.#budget.release(sequence.columns);
    sequence.request.unfinished -= 1;
    if (sequence.request.unfinished === 0) this.#end(sequence.request);
  }

  /** Gives back whatever a request holds besides its sequences. */
  #end(request: ActiveRequest): void {
    request.dropPrompt();
    this.#slots.release(request);
    if (request.version !== null) this.#options.versions.release(request.version);
    this.#requests.delete(request.id);
    this.#background.remove(request);
  }
}
