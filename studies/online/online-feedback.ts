/** The raters of an online loop: how they judge completions, how often they are wrong, and how late they are. */

import { createRandom, type Random } from '../../models/recipe/world/index.js';
import type { FeedbackWrite } from '../../src/replay/index.js';
import { type Condition, type ShapeName, shapes } from './online-task.js';
import type { World } from './online-world.js';

/** A completion that was shown. */
export interface Shown {
  readonly generationId: string;
  readonly post: string;
  readonly text: string;
}

/** Feedback on its way: it arrives once a version has the number `dueVersion` or a later one. */
export interface Feedback {
  readonly write: FeedbackWrite;
  readonly dueVersion: number;
}

const flippedShare = 0.2;
const lateShare = 0.5;
const lateVersions = 2;

export class Raters {
  readonly #world: World;
  readonly #shape: (typeof shapes)[ShapeName];
  readonly #condition: Condition;
  readonly #random: Random;

  constructor(world: World, task: { readonly shape: ShapeName; readonly condition: Condition; readonly seed: number }) {
    this.#world = world;
    this.#shape = shapes[task.shape];
    this.#condition = task.condition;
    this.#random = createRandom(task.seed, 'raters');
  }

  /** The feedback on the completions of one post that a version wrote. */
  judge(completions: readonly Shown[], version: number): Feedback[] {
    const writes =
      this.#shape.feedback === 'preference'
        ? [this.#compare(completions[0] as Shown, completions[1] as Shown)]
        : completions.map((completion) => this.#score(completion));
    return writes.map((write) => ({ write, dueVersion: version + (this.#isLate() ? lateVersions : 0) }));
  }

  #score({ generationId, post, text }: Shown): FeedbackWrite {
    const worth = this.#worth(post, text);
    const value = this.#isFlipped() ? 1 - worth : worth;
    return { type: 'score', generationId, value, ...said };
  }

  #compare(first: Shown, second: Shown): FeedbackWrite {
    const difference = this.#worth(first.post, first.text) - this.#worth(second.post, second.text);
    const sign = this.#isFlipped() ? -difference : difference;
    const outcome = sign > 0 ? 'better' : sign < 0 ? 'worse' : 'tie';
    return { type: 'preference', generationId: first.generationId, otherId: second.generationId, outcome, ...said };
  }

  /** The judge's score. If prompts shift it, half of it and half of the prompt's shift, so it stays in [0, 1]. */
  #worth(post: string, text: string): number {
    const worth = this.#world.judge(post, text);
    return this.#condition === 'shifted' ? (worth + this.#world.shift(post)) / 2 : worth;
  }

  #isFlipped(): boolean {
    return this.#condition === 'noisy' && this.#random.chance(flippedShare);
  }

  #isLate(): boolean {
    return this.#condition === 'late' && this.#random.chance(lateShare);
  }
}

const said = { rater: 'judge', metric: 'quality', idempotencyKey: '', createdAtMs: 0 } as const;
