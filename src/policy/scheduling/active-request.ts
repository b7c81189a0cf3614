/** A request in the worker, from its arrival to its last candidate's end. */

import type { StepLogits } from '../graph/decoder.js';
import type { HeldVersion } from '../held-versions.js';
import type { RequestColumns } from '../kv/kv-budget.js';
import type { KvCache, Prefix } from '../kv/kv-cache.js';
import type { CompletionRequest } from '../types.js';

/** A prompt, computed: candidates start from it as slots become free. */
export interface PreparedPrompt {
  /** One row; null where the prompt took one run and has one candidate, which gets the run's own arrays. */
  readonly cache: KvCache | null;
  readonly prefix: Prefix | null;
  /** After the prompt's last token. */
  readonly logits: StepLogits;
}

export class ActiveRequest {
  readonly id: number;
  readonly completion: CompletionRequest;
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
  /** The next candidate to start. */
  nextCandidate = 0;
  unfinished: number;
  /** Columns that are charged for the prompt and for the next candidate; a sequence that runs has its own. */
  chargedPrompt = 0;
  chargedCandidate = 0;
  /** Its reader is slow: nothing is computed for it. */
  parked = false;

  constructor(id: number, completion: CompletionRequest, submittedAtMs: number, columns: RequestColumns) {
    this.id = id;
    this.completion = completion;
    this.submittedAtMs = submittedAtMs;
    this.columns = columns;
    this.unfinished = completion.candidates.length;
  }

  /** The version that it runs on; it has left the queue. */
  get leased(): HeldVersion {
    return this.version as HeldVersion;
  }

  get startsLast(): boolean {
    return this.nextCandidate === this.completion.candidates.length - 1;
  }

  /** Nobody waits for it. */
  get background(): boolean {
    return this.completion.background === true;
  }

  /** Whether memory of keys and values is promised to it. */
  get holdsMemory(): boolean {
    const finished = this.completion.candidates.length - this.unfinished;
    return this.chargedPrompt + this.chargedCandidate > 0 || this.nextCandidate > finished;
  }

  /** Lets go of the computed prompt. */
  dropPrompt(): void {
    this.prefillCache?.clear();
    this.prefillCache = null;
    this.prompt = null;
    this.prefilled = 0;
  }
}
