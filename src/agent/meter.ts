/** What the loop tells whoever counts: figures as they arise, never a word of a request. */

import type { ErrorCode } from '../errors.js';
import type { Verdict } from '../gate/index.js';
import type { LearnerEvent } from '../learner/index.js';
import type { FinishReason } from '../policy/index.js';
import type { Version } from '../versions/index.js';
import type { FeedbackKind, FeedbackResult } from './feedback/types.js';

/** How a request ended. */
export interface RequestEnd {
  /** `OK`, or the code of the error that the caller got; a caller that left early got `CANCELLED`. */
  readonly code: 'OK' | ErrorCode;
  /** From the call to its last event, milliseconds. */
  readonly durationMs: number;
}

/** How a completion ended. */
export interface CompletionEnd {
  readonly reason: FinishReason;
  readonly tokens: number;
  /**
   * Mean time between its tokens after those that came first, milliseconds; `null` where all came at once. Tokens are
   * timed as they leave the policy for the caller, so a slow reader shows in it.
   */
  readonly msPerToken: number | null;
}

/** What came of drawing completions that nobody is shown. */
export interface BackgroundDraw {
  /** Completions that are on disk. */
  readonly kept: number;
  /** Completions that ended early, for a request. */
  readonly cancelled: number;
  /** Tokens sampled, for those that were not kept too. */
  readonly tokens: number;
}

/**
 * How drawing for a prompt ended: all came to their end; a request came, and the rest is drawn later; given up, because
 * too many prompts wait or the data shall be gone; or an error.
 */
export type ExplorationOutcome = 'kept' | 'gave_way' | 'dropped' | 'failed';

/** Told on the event loop as things happen; must not throw. What nobody counts is left out. */
export interface Meter {
  /** The first token of a request, of whichever completion, came so many milliseconds after the call. */
  firstToken?(ms: number): void;
  /** Tokens came. */
  tokens?(count: number): void;
  completionEnded?(end: CompletionEnd): void;
  requestEnded?(end: RequestEnd): void;
  /**
   * Feedback was answered; what was not refused is on disk.
   * @param early how many of the items came while their generation was still running
   */
  feedback?(items: readonly { readonly kind: FeedbackKind; readonly result: FeedbackResult }[], early: number): void;
  /** So many scores came after the window of their metric. */
  late?(count: number): void;
  learner?(event: LearnerEvent): void;
  /** Drawing further completions of a prompt that was answered ended. */
  explored?(outcome: ExplorationOutcome, drawn: BackgroundDraw): void;
  /** A candidate was judged. */
  judged?(verdict: Verdict): void;
  /** A version went live, by a promotion or a rollback. */
  live?(version: Version): void;
}

/** Times the tokens of one request. */
export class RequestMeter {
  readonly #meter: Meter;
  readonly #startedAt = performance.now();
  /** By completion. */
  readonly #completions = new Map<number, { first: number; firstAt: number; tokens: number; lastAt: number }>();
  #ended = false;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Tokens of a completion came. */
  tokens(completion: number, count: number): void {
    if (count === 0) return;
    const now = performance.now();
    if (this.#completions.size === 0) this.#meter.firstToken?.(now - this.#startedAt);
    const seen = this.#completions.get(completion);
    if (seen === undefined) {
      this.#completions.set(completion, { first: count, firstAt: now, tokens: count, lastAt: now });
    } else {
      seen.tokens += count;
      seen.lastAt = now;
    }
    this.#meter.tokens?.(count);
  }

  completionEnded(completion: number, reason: FinishReason): void {
    const { first, firstAt, tokens, lastAt } = this.#completions.get(completion) ?? nothing;
    const later = tokens - first;
    this.#meter.completionEnded?.({ reason, tokens, msPerToken: later === 0 ? null : (lastAt - firstAt) / later });
  }

  /** The first call counts. */
  ended(code: RequestEnd['code']): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#meter.requestEnded?.({ code, durationMs: performance.now() - this.#startedAt });
  }
}

const nothing = { first: 0, firstAt: 0, tokens: 0, lastAt: 0 };
