/** A request in the worker, from its arrival to its last completion's end. */

import type { CompletionRequest } from '../completion-request.js';
import type { StepLogits } from '../graph/decoder.js';
import type { HeldVersion } from '../held-versions.js';
import type { RequestColumns } from '../kv/kv-budget.js';
import type { KvCache, Prefix } from '../kv/kv-cache.js';

/** A prompt, computed: completions start from it as slots become free. */
export interface PreparedPrompt {
  /** One row; null where the prompt took one run and has one completion, which gets the run's own arrays. */
  readonly cache: KvCache | null;
  readonly prefix: Prefix | null;
  /** After the prompt's last token. */
  readonly logits: StepLogits;
}

export class ActiveRequest {
  readonly id: number;
  readonly spec: CompletionRequest;
  /** When it was submitted, in milliseconds since 1970. */
  readonly submittedAtMs: number;
  readonly columns: RequestColumns;
  /** Leased when it leaves the queue. */
  version: HeldVersion | null = null;
  /** Whether `started` was reported. */
  started = false;
  /** Prompt tokens computed, or found, so far. */
  prefilled = 0;
  /** One row: the chunks of a prompt that takes several, or begins with what was found. */
  prefillCache: KvCache | null = null;
  prompt: PreparedPrompt | null = null;
  /** The next completion to start. */
  nextCompletion = 0;
  unfinished: number;
  /** Columns that are charged for the prompt and for the next completion; a sequence that runs has its own. */
  chargedPrompt = 0;
  chargedCompletion = 0;
  /** Its reader is slow: nothing is computed for it. */
  parked = false;

  constructor(id: number, spec: CompletionRequest, submittedAtMs: number, columns: RequestColumns) {
    this.id = id;
    this.spec = spec;
    this.submittedAtMs = submittedAtMs;
    this.columns = columns;
    this.unfinished = spec.completions.length;
  }

  /** The version that it runs on; it has left the queue. */
  get leased(): HeldVersion {
    return this.version as HeldVersion;
  }

  get startsLast(): boolean {
    return this.nextCompletion === this.spec.completions.length - 1;
  }

  /** Nobody waits for it. */
  get background(): boolean {
    return this.spec.background === true;
  }

  /** Whether memory of keys and values is promised to it. */
  get holdsMemory(): boolean {
    const finished = this.spec.completions.length - this.unfinished;
    return this.chargedPrompt + this.chargedCompletion > 0 || this.nextCompletion > finished;
  }

  /** Lets go of the computed prompt. */
  dropPrompt(): void {
    this.prefillCache?.clear();
    this.prefillCache = null;
    this.prompt = null;
    this.prefilled = 0;
  }
}
