/** A request in the worker, from its arrival to the end of its last completion. */

import type { CompletionRequest } from '../completion-request.js';
import type { StepLogits } from '../graph/decoder.js';
import type { HeldVersion } from '../held-versions.js';
import type { RequestColumns } from '../kv/kv-budget.js';
import type { KvCache, Prefix } from '../kv/kv-cache.js';

/** A computed prompt, from which completions start as slots become free. */
export interface PreparedPrompt {
  /** One row. `null` if one run computed the prompt for a single completion, which then gets the arrays of that run. */
  readonly cache: KvCache | null;
  readonly prefix: Prefix | null;
  /** The logits after the prompt's last token. */
  readonly logits: StepLogits;
}

export class ActiveRequest {
  readonly id: number;
  readonly spec: CompletionRequest;
  /** Milliseconds since 1970. */
  readonly submittedAtMs: number;
  readonly columns: RequestColumns;
  /** The version it runs on, leased when it leaves the queue. */
  version: HeldVersion | null = null;
  /** Whether `started` was reported. */
  started = false;
  /** Number of prompt tokens that are computed or were found in the prefix cache. */
  prefilled = 0;
  /** One row with the prompt so far, if it needs several chunks or begins with blocks from the prefix cache. */
  prefillCache: KvCache | null = null;
  prompt: PreparedPrompt | null = null;
  /** Index of the next completion to start. */
  nextCompletion = 0;
  unfinished: number;
  /** Columns charged for the prompt and for the next completion. Running sequences are charged separately. */
  chargedPrompt = 0;
  chargedCompletion = 0;
  /** Runs of the model for this background request; one that several share counts in parts. */
  backgroundRuns = 0;
  /** Whether nothing is computed for it, because its reader is slow. */
  parked = false;

  constructor(id: number, spec: CompletionRequest, submittedAtMs: number, columns: RequestColumns) {
    this.id = id;
    this.spec = spec;
    this.submittedAtMs = submittedAtMs;
    this.columns = columns;
    this.unfinished = spec.completions.length;
  }

  /** The version of a request that has left the queue. */
  get leased(): HeldVersion {
    return this.version as HeldVersion;
  }

  get startsLast(): boolean {
    return this.nextCompletion === this.spec.completions.length - 1;
  }

  get background(): boolean {
    return this.spec.background === true;
  }

  /** Whether memory for keys and values is promised to it. */
  get holdsMemory(): boolean {
    const finished = this.spec.completions.length - this.unfinished;
    return this.chargedPrompt + this.chargedCompletion > 0 || this.nextCompletion > finished;
  }

  /** Frees the computed prompt. */
  dropPrompt(): void {
    this.prefillCache?.clear();
    this.prefillCache = null;
    this.prompt = null;
    this.prefilled = 0;
  }
}
