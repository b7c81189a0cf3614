/** The figures that the loop reports as they arise, for metrics. They hold no text of a request. */

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
  /** Milliseconds from the call to its last event. */
  readonly durationMs: number;
}

/** How a completion ended. */
export interface CompletionEnd {
  readonly reason: FinishReason;
  readonly tokens: number;
  /**
   * Mean milliseconds between its tokens after the first ones; `null` if all came at once. Tokens are timed when they
   * leave the policy for the caller, so a slow reader makes it longer.
   */
  readonly msPerToken: number | null;
}

/** The result of drawing completions in the background. */
export interface BackgroundDraw {
  /** Number of completions that are on disk. */
  readonly kept: number;
  /** Number of completions that ended early because a request came. */
  readonly cancelled: number;
  /** Number of tokens sampled, including those of completions that were not stored. */
  readonly tokens: number;
}

/**
 * How drawing for a prompt ended. kept: all completions came to their end; gave_way: a request came, and the rest is
 * drawn later; dropped: too many prompts wait, or the subject's data is erased; failed: an error.
 */
export type ExplorationOutcome = 'kept' | 'gave_way' | 'dropped' | 'failed';

/** Called on the event loop as things happen; must not throw. Methods are optional: implement what you count. */
export interface Meter {
  /** The first token of a request came, of any completion. @param ms milliseconds after the call */
  firstToken?(ms: number): void;
  /** Tokens came. */
  tokens?(count: number): void;
  completionEnded?(end: CompletionEnd): void;
  requestEnded?(end: RequestEnd): void;
  /**
   * Feedback was answered; what was not refused is on disk.
   * @param early number of items that came while their generation was still running
   */
  feedback?(items: readonly { readonly kind: FeedbackKind; readonly result: FeedbackResult }[], early: number): void;
  /** Scores came after the window of their metric. */
  late?(count: number): void;
  learner?(event: LearnerEvent): void;
  /** Exploration has drawn further completions of a prompt, or ended early. */
  explored?(outcome: ExplorationOutcome, drawn: BackgroundDraw): void;
  /** A candidate was judged. */
  judged?(verdict: Verdict): void;
  /** A version went live, by a promotion or a rollback. */
  live?(version: Version): void;
}

/** Times the tokens of one request and reports them. */
export class RequestMeter {
  readonly #meter: Meter;
  readonly #startedAt = performance.now();
  /** The tokens of each completion so far, by its index. */
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

  /** Only the first call counts. */
  ended(code: RequestEnd['code']): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#meter.requestEnded?.({ code, durationMs: performance.now() - this.#startedAt });
  }
}

const nothing = { first: 0, firstAt: 0, tokens: 0, lastAt: 0 };
