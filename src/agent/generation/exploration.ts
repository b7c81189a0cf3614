/**
 * Exploration: draws further completions of prompts that were answered once, while the server has nothing else to do.
 *
 * One completion of a prompt cannot be compared with another one. With a few more, a reward model or a person can tell
 * which is better. So exploration remembers a share of the single requests that were answered, and draws completions of
 * their prompts on the live version when no request runs. A new request ends the draw at once, and the rest is drawn
 * later. No user sees the completions.
 */

import { z } from 'zod';
import { checkSettings } from '../../check-settings.js';
import type { BackgroundDraw, ExplorationOutcome, Meter } from '../meter.js';
import type { CheckedRequest } from './check-request.js';
import type { GenerationRequest } from './generation-context.js';

const schema = z.strictObject({
  share: z.number().min(0).max(1).default(0),
  completions: z.int().min(1).max(64).default(3),
});

export interface ExplorationSettings {
  /** Share of the answered and stored single requests that are explored; 0 is off. */
  readonly share: number;
  /** Number of completions that are drawn per prompt. */
  readonly completions: number;
}

/** @throws HoneError `INVALID_OPTIONS` */
export function checkExploration(settings: Partial<Record<keyof ExplorationSettings, unknown>>): ExplorationSettings {
  return checkSettings('exploration', schema, settings);
}

export interface ExplorationStatus extends ExplorationSettings {
  /** Number of prompts that wait until no request runs. */
  readonly waiting: number;
  /** Number of completions that were drawn and stored since the start. */
  readonly kept: number;
  /** Number of draws that ended because a request came. */
  readonly gaveWay: number;
}

export interface ExplorationOptions {
  readonly settings: ExplorationSettings;
  /** Draws the completions of a request, and stores them if `wanted` returns true at their end. */
  readonly draw: (request: GenerationRequest, signal: AbortSignal, wanted: () => boolean) => Promise<BackgroundDraw>;
  readonly meter: Pick<Meter, 'explored'>;
  /** 32-bit unsigned. */
  readonly randomSeed: () => number;
  /** Draws a number from [0, 1) to decide whether a prompt belongs to the share. Default `Math.random`. */
  readonly random?: () => number;
}

/** Most prompts that may wait. The oldest one makes room. */
export const maxWaitingPrompts = 64;

interface Task {
  readonly request: CheckedRequest;
  /** Number of completions that are still to be drawn. */
  left: number;
  /** Whether the subject's data is erased, so that nothing may be stored. */
  forgotten: boolean;
}

interface Drawing {
  readonly task: Task;
  readonly abort: AbortController;
  ended: Promise<void>;
}

export class Exploration {
  readonly #options: ExplorationOptions;
  #waiting: Task[] = [];
  #drawing: Drawing | null = null;
  /** Number of requests that run or wait. */
  #open = 0;
  #closed = false;
  readonly #counts = { kept: 0, gaveWay: 0 };

  constructor(options: ExplorationOptions) {
    this.#options = options;
  }

  get status(): ExplorationStatus {
    return { ...this.#options.settings, ...this.#counts, waiting: this.#waiting.length };
  }

  /** Call when a request comes. */
  requestStarted(): void {
    this.#open += 1;
    this.#drawing?.abort.abort();
  }

  /** Call when a request has ended, in whichever way. */
  requestEnded(): void {
    this.#open -= 1;
    this.#proceed();
  }

  /** Call when a request was answered to its end. Remembers its prompt if it belongs to the share. */
  answered(request: CheckedRequest): void {
    const { settings, random = Math.random, meter } = this.#options;
    const single = request.store && request.n === 1 && request.sampling.temperature > 0;
    if (!single || this.#closed || random() >= settings.share) return;
    if (this.#waiting.length >= maxWaitingPrompts) {
      this.#waiting.shift();
      meter.explored?.('dropped', nothing);
    }
    this.#waiting.push({ request, left: settings.completions, forgotten: false });
  }

  /**
   * Forgets a subject: its queued prompts are dropped, and nothing being drawn for it is stored. Call before the
   * store erases.
   */
  forget(subject: string): void {
    this.#waiting = this.#waiting.filter(({ request }) => request.subject !== subject);
    const drawing = this.#drawing;
    if (drawing === null || drawing.task.request.subject !== subject) return;
    drawing.task.forgotten = true;
    drawing.abort.abort();
  }

  /** Ends the draw in progress; resolves when nothing of it is left to write. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting = [];
    this.#drawing?.abort.abort();
    await this.#drawing?.ended;
  }

  #proceed(): void {
    if (this.#closed || this.#open > 0 || this.#drawing !== null) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    const drawing: Drawing = { task, abort: new AbortController(), ended: Promise.resolve() };
    this.#drawing = drawing;
    drawing.ended = this.#draw(drawing).then(() => {
      this.#drawing = null;
      this.#proceed();
    });
  }

  /** Never rejects. */
  async #draw({ task, abort }: Drawing): Promise<void> {
    const { draw, randomSeed, meter } = this.#options;
    const request: GenerationRequest = {
      ...task.request,
      sampling: { ...task.request.sampling, topLogprobs: 0 },
      n: task.left,
      seed: randomSeed(),
      // The version that is live when the completions are drawn.
      version: undefined,
      origin: 'explored',
    };
    let drawn = nothing;
    try {
      drawn = await draw(request, abort.signal, () => !task.forgotten);
    } catch {
      // The worker died or the store has no room, which events report elsewhere. Exploration only leaves this prompt
      // out.
    }
    this.#counts.kept += drawn.kept;
    task.left = drawn.cancelled;
    meter.explored?.(this.#settle(task, drawn.kept === request.n), drawn);
  }

  #settle(task: Task, whole: boolean): ExplorationOutcome {
    if (task.forgotten) return 'dropped';
    if (task.left === 0) return whole ? 'kept' : 'failed';
    this.#counts.gaveWay += 1;
    // The prompt has waited longest, so it is the one that is dropped if too many wait.
    if (!this.#closed && this.#waiting.length < maxWaitingPrompts) this.#waiting.unshift(task);
    return 'gave_way';
  }
}

const nothing: BackgroundDraw = { kept: 0, cancelled: 0, tokens: 0 };
