/**
 * Exploration: further completions of prompts that were answered once, drawn while the server has nothing else to do.
 *
 * A prompt with one completion has nothing to be compared with; with a few more, a reward model or a person can tell
 * better from worse. So a share of the single requests is remembered when they have been answered, and when no request
 * runs, completions of their prompts are drawn on the live version. A request that comes ends the drawing at once; what
 * is left of it is drawn later. Nobody is shown what comes of it.
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

/** Whose prompts are explored, and how far. */
export interface ExplorationSettings {
  /** Of the single requests that were answered and kept; 0 is off. */
  readonly share: number;
  /** Drawn per prompt. */
  readonly completions: number;
}

/** @throws HoneError `INVALID_OPTIONS` */
export function checkExploration(settings: Partial<Record<keyof ExplorationSettings, unknown>>): ExplorationSettings {
  return checkSettings('exploration', schema, settings);
}

/** What exploration has come to since the start. */
export interface ExplorationStatus extends ExplorationSettings {
  /** Prompts that wait until no request runs. */
  readonly waiting: number;
  /** Completions that were drawn and kept. */
  readonly kept: number;
  /** Times that a drawing ended because a request came. */
  readonly gaveWay: number;
}

export interface ExplorationOptions {
  readonly settings: ExplorationSettings;
  /** Draws the completions of a request and keeps what is `wanted` when it is asked. */
  readonly draw: (request: GenerationRequest, signal: AbortSignal, wanted: () => boolean) => Promise<BackgroundDraw>;
  readonly meter: Pick<Meter, 'explored'>;
  /** 32-bit unsigned. */
  readonly randomSeed: () => number;
  /** From [0, 1): whether a prompt belongs to the share. Default `Math.random`. */
  readonly random?: () => number;
}

/** Prompts that may wait: the oldest makes room. */
export const maxWaitingPrompts = 64;

interface Task {
  readonly request: CheckedRequest;
  /** Completions that are yet to be drawn. */
  left: number;
  /** Nothing of it is wanted any more. */
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
  /** Requests that run or wait. */
  #open = 0;
  #closed = false;
  readonly #counts = { kept: 0, gaveWay: 0 };

  constructor(options: ExplorationOptions) {
    this.#options = options;
  }

  get status(): ExplorationStatus {
    return { ...this.#options.settings, ...this.#counts, waiting: this.#waiting.length };
  }

  /** A request has come. */
  requestStarted(): void {
    this.#open += 1;
    this.#drawing?.abort.abort();
  }

  /** It has ended, however. */
  requestEnded(): void {
    this.#open -= 1;
    this.#proceed();
  }

  /** A request was answered to its end; takes its prompt, or leaves it. */
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

  /** Whose data this is shall be gone: nothing more is drawn or kept of it. To be called before the store erases. */
  forget(subject: string): void {
    this.#waiting = this.#waiting.filter(({ request }) => request.subject !== subject);
    const drawing = this.#drawing;
    if (drawing === null || drawing.task.request.subject !== subject) return;
    drawing.task.forgotten = true;
    drawing.abort.abort();
  }

  /** Ends what is drawn; resolves when nothing of it is left to write. Idempotent. */
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
      // What is live when it is drawn.
      version: undefined,
      origin: 'explored',
    };
    let drawn = nothing;
    try {
      drawn = await draw(request, abort.signal, () => !task.forgotten);
    } catch {
      // A worker that died, or a store that has no room, concerns those who serve; here a prompt is left out.
    }
    this.#counts.kept += drawn.kept;
    task.left = drawn.cancelled;
    meter.explored?.(this.#settle(task, drawn.kept === request.n), drawn);
  }

  #settle(task: Task, whole: boolean): ExplorationOutcome {
    if (task.forgotten) return 'dropped';
    if (task.left === 0) return whole ? 'kept' : 'failed';
    this.#counts.gaveWay += 1;
    // It has waited longest: where too many wait, it is the one to go.
    if (!this.#closed && this.#waiting.length < maxWaitingPrompts) this.#waiting.unshift(task);
    return 'gave_way';
  }
}

const nothing: BackgroundDraw = { kept: 0, cancelled: 0, tokens: 0 };
