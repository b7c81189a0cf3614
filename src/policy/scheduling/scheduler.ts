/**
 * Continuous batching: requests join and leave between any two steps.
 *
 * A turn computes at most one chunk's worth of prompts and then one decode step of every group of rows. A long prompt
 * therefore delays running streams by one chunk at most, however many versions and lengths run together. A request
 * leases its version when it leaves the queue, and keeps it until its end. The slot queue decides who starts next
 * (`slot-queue.ts`). Nothing starts before the memory that it may need is promised to it (`kv-budget.ts`). Background
 * requests give way to others (`background.ts`).
 */

import { HoneError } from '../../errors.js';
import type { TokenBytes } from '../../package/index.js';
import type { CompletionRequest } from '../completion-request.js';
import type { Decoder } from '../graph/decoder.js';
import type { HeldVersions } from '../held-versions.js';
import { KvArena } from '../kv/kv-arena.js';
import { KvBudget } from '../kv/kv-budget.js';
import { PrefixCache } from '../kv/prefix-cache.js';
import type { WorkerStatus } from '../messages.js';
import { SamplingScratch } from '../sampling/sampler.js';
import { ActiveRequest } from './active-request.js';
import { Background, type ForegroundActivity } from './background.js';
import { Parking } from './parking.js';
import { Prefill } from './prefill.js';
import { type RowGroup, RowGroups } from './row-groups.js';
import type { SequenceEnd } from './sequence.js';
import { SequenceRunner } from './sequence-runner.js';
import { SlotQueue } from './slot-queue.js';
import { type Emit, StepOutbox } from './step-outbox.js';

interface SchedulerOptions {
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

type Order = 'cancel' | 'park' | 'resume';

const cancelled: SequenceEnd = { reason: 'cancelled', endOfSequence: false };

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #requests = new Map<number, ActiveRequest>();
  /** Orders that take effect at the start of the next turn. */
  readonly #orders: { readonly order: Order; readonly id: number }[] = [];
  /** Callbacks for when the prefix cache has been cleared, also at the start of the next turn. */
  readonly #clearings: (() => void)[] = [];
  readonly #budget: KvBudget;
  readonly #slots: SlotQueue;
  readonly #prefixes: PrefixCache;
  readonly #prefill: Prefill;
  readonly #groups: RowGroups;
  readonly #parking = new Parking();
  readonly #background: Background;
  readonly #outbox = new StepOutbox();
  readonly #runner: SequenceRunner;

  /** @throws HoneError `INVALID_OPTIONS` if the memory cannot hold one sequence of full context */
  constructor(options: SchedulerOptions) {
    const { decoder, versions, tokenBytes, contextLength, vocabularySize, eosTokenIds, prefillChunk } = options;
    this.#options = options;
    this.#budget = new KvBudget(decoder.shape, contextLength, options.kvMemoryBytes);
    const arena = new KvArena(decoder.shape, this.#budget.columns);
    this.#slots = new SlotQueue(this.#budget);
    this.#prefixes = new PrefixCache(decoder.shape, options.prefixCacheBytes);
    this.#background = new Background(options.maxSequences);
    this.#prefill = new Prefill({
      decoder,
      arena,
      prefixes: this.#prefixes,
      prefillChunk,
      onRun: (request) => this.#background.ran([{ request }]),
      spendOnBackground: () => this.#background.spend(this.#foregroundActivity()),
    });
    this.#groups = new RowGroups(arena, contextLength);
    this.#runner = new SequenceRunner({
      decoder,
      versions,
      budget: this.#budget,
      slots: this.#slots,
      groups: this.#groups,
      prefixes: this.#prefixes,
      outbox: this.#outbox,
      context: {
        tokenBytes,
        scratch: new SamplingScratch(vocabularySize),
        contextLength,
        eos: new Set(eosTokenIds),
      },
      maxSequences: options.maxSequences,
      keptColumnsPerTurn: prefillChunk,
      onEnd: (request) => {
        this.#requests.delete(request.id);
        this.#background.remove(request);
      },
    });
  }

  get status(): Omit<WorkerStatus, 'heldVersions'> {
    return {
      runningSequences: this.#groups.rows,
      parkedRequests: this.#parking.size,
      backgroundRequests: this.#background.size,
      backgroundRuns: this.#background.runs,
      kvBytesUsed: this.#budget.usedBytes,
      kvBytesBudget: this.#budget.maxBytes,
      prefixCache: this.#prefixes.status,
    };
  }

  /** Whether every request has ended. */
  get idle(): boolean {
    return this.#requests.size === 0;
  }

  /** Empties the prefix cache at the start of the next turn, after the orders given so far. */
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

  /** Ends the request's completions before the next step. An unknown id is a request that has already ended. */
  cancel(id: number): void {
    this.#orders.push({ order: 'cancel', id });
  }

  /** Cancels the background requests for which `which` returns true. */
  cancelBackground(which: (request: ActiveRequest) => boolean): void {
    for (const request of this.#background.requests) if (which(request)) this.cancel(request.id);
  }

  /** Stops computing for a request after the present step, until {@link Scheduler.resume}. */
  park(id: number): void {
    this.#orders.push({ order: 'park', id });
  }

  resume(id: number): void {
    this.#orders.push({ order: 'resume', id });
  }

  /**
   * Runs one turn.
   * @param emit sends a message; it is called after each step, so that tokens leave as soon as they are drawn
   * @param swapMs how long a swap delayed the turn
   * @returns whether anything happened. If not, nothing will happen until a message arrives.
   * @throws HoneError `INTERNAL` if the model cannot be run; the worker's state is then lost
   */
  async turn(emit: Emit, swapMs = 0): Promise<boolean> {
    this.#outbox.reset();
    this.#runner.startTurn();
    this.#background.startTurn();
    let happened = this.#follow();
    this.#fillSlots();
    const startedAt = performance.now();
    const { ready, tokens: prefillTokens } = await this.#prefill.run(this.#outbox.message);
    const prefillMs = prefillTokens === 0 ? 0 : performance.now() - startedAt;
    for (const request of ready) {
      if (request.parked) this.#parking.promptReady(request);
      else this.#runner.start(request);
    }
    this.#fillSlots();
    const decodedAt = performance.now();
    let [groups, decodedRows] = [0, 0];
    for (const group of this.#inOrder(this.#groups.regroup())) {
      if (this.#isBackground(group) && !this.#background.spend(this.#foregroundActivity())) continue;
      happened = this.#outbox.flush(emit) || happened;
      groups += 1;
      decodedRows += group.sequences.length;
      this.#background.ran(group.sequences);
      await this.#runner.step(group);
    }
    if (prefillTokens + decodedRows > 0) {
      const decodeMs = decodedRows === 0 ? 0 : performance.now() - decodedAt;
      this.#outbox.message.turn = { prefillMs, prefillTokens, decodeMs, decodedRows, groups, swapMs };
    }
    return this.#outbox.flush(emit) || happened;
  }

  /** Puts groups of background rows last; of these, the one that has waited longest comes first. */
  #inOrder(groups: readonly RowGroup[]): readonly RowGroup[] {
    if (this.#background.size === 0) return groups;
    const background = groups.filter((group) => this.#isBackground(group)).sort((a, b) => a.lastTurn - b.lastTurn);
    return [...groups.filter((group) => !this.#isBackground(group)), ...background];
  }

  /** Whether all rows of a group belong to background requests. */
  #isBackground({ sequences }: RowGroup): boolean {
    return this.#background.size > 0 && sequences.every(({ request }) => request.background);
  }

  #foregroundActivity(): ForegroundActivity {
    if (this.#foregroundWaits || this.#prefill.size > this.#prefill.background) return 'waiting';
    return this.#groups.count(({ request }) => !request.background) > 0 ? 'running' : 'none';
  }

  get #foregroundWaits(): boolean {
    return this.#slots.hasWaiting || this.#parking.hasResumed;
  }

  /** Carries out the orders in the order of their arrival. @returns whether there were any */
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
    const rows = this.#groups.detachWhere((sequence) => sequence.request === request);
    this.#parking.park(request, rows, this.#slots.remove(request));
  }

  #drop(request: ActiveRequest): void {
    this.#prefill.remove(request);
    this.#slots.remove(request);
    for (const { sequence, cache } of this.#parking.remove(request)) {
      cache.clear();
      this.#runner.finish(sequence, cancelled);
    }
    for (const sequence of this.#groups.sequences) {
      if (sequence.request === request) this.#runner.finish(sequence, cancelled);
    }
    this.#groups.removeWhere((sequence) => sequence.request === request);
    const { completions } = request.spec;
    for (let completion = request.nextCompletion; completion < completions.length; completion++) {
      this.#outbox.message.finished.push({ request: request.id, completion, ...cancelled, text: '' });
    }
    if (request.nextCompletion < completions.length) this.#runner.end(request);
  }

  /** Lets requests leave the queue, and completions start, while there are slots and memory. */
  #fillSlots(): void {
    const { maxSequences } = this.#options;
    for (;;) {
      const free = this.#groups.rows + this.#prefill.size < maxSequences;
      if (free && this.#startOne(false)) continue;
      if (this.#foregroundWaits) {
        if (!this.#giveWay(free ? ({ holdsMemory }) => holdsMemory : (request) => this.#holdsSlot(request))) return;
      } else if (!free || !this.#backgroundMayStart() || !this.#startOne(true)) return;
    }
  }

  /** Starts the next background or foreground completion. @returns whether one could start */
  #startOne(background: boolean): boolean {
    const resumed = this.#parking.nextResumed(background);
    if (resumed !== undefined) {
      this.#groups.addTaken(resumed.sequence, resumed.cache);
      return true;
    }
    const request = this.#slots.next(background);
    if (request === undefined) return false;
    if (request.prompt !== null) this.#runner.start(request);
    else if (this.#lease(request)) this.#prefill.add(request);
    return true;
  }

  /** Ends the youngest background request for which `which` returns true. @returns whether there was one */
  #giveWay(which: (request: ActiveRequest) => boolean): boolean {
    const youngest = this.#background.youngest(which);
    if (youngest !== undefined) {
      this.#background.gaveWay(youngest);
      this.#drop(youngest);
    }
    return youngest !== undefined;
  }

  #holdsSlot(request: ActiveRequest): boolean {
    return this.#prefill.has(request) || this.#groups.count((sequence) => sequence.request === request) > 0;
  }

  #backgroundMayStart(): boolean {
    if (this.#background.size === 0) return false;
    return this.#background.mayTake(this.#prefill.background + this.#groups.count(({ request }) => request.background));
  }

  /** Leases the request's version, or refuses the request. */
  #lease(request: ActiveRequest): boolean {
    if (request.version !== null) return true;
    try {
      request.version = this.#options.versions.lease(request.spec.version);
      return true;
    } catch (thrown) {
      this.#outbox.message.refused.push({ request: request.id, error: HoneError.from(thrown).toJSON() });
      this.#runner.end(request);
      return false;
    }
  }
}
