/** The task of a cell of `study online`: which feedback comes, for which completions, and how much of it. */

import type { LearnerSettingsInput } from '../../src/learner/index.js';

export interface Shape {
  /** Of one prompt. */
  readonly completions: number;
  readonly feedback: 'scores' | 'preference';
  /** What differs from the learner's defaults. */
  readonly settings?: LearnerSettingsInput;
}

/**
 * What one prompt brings. groups: 4 or 2 completions, each with a score; preferences: two completions and which of them is
 * better; singles: one completion with a score. The singles differ in what the learner compares a completion with: V(x) of
 * the prompt, the mean of all prompts, nothing.
 */
export const shapes = {
  groups4: { completions: 4, feedback: 'scores' },
  groups2: { completions: 2, feedback: 'scores' },
  preferences: { completions: 2, feedback: 'preference' },
  'singles-prompt': { completions: 1, feedback: 'scores', settings: { baseline: 'prompt' } },
  'singles-mean': { completions: 1, feedback: 'scores', settings: { baseline: 'mean' } },
  'singles-none': { completions: 1, feedback: 'scores', settings: { baseline: 'none' } },
} as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof shapes;
export const shapeNames = Object.keys(shapes) as readonly ShapeName[];

/**
 * clean: the judge's score, at once. noisy: one score in five is turned round (s becomes 1 - s, the worse of a pair is
 * preferred). late: half of the feedback comes when two more versions have gone live. shifted: a word of the post adds
 * to every score of it, whatever the completion is.
 */
export const conditions = ['clean', 'noisy', 'late', 'shifted'] as const;
export type Condition = (typeof conditions)[number];

export const judgeNames = ['facts', 'tone'] as const;
export type JudgeName = (typeof judgeNames)[number];

/** Plain JSON: a cell's input. */
export interface OnlineTask {
  readonly judge: JudgeName;
  /** Seed of the posts, of their completions, of noise and delay, and of the learner. */
  readonly seed: number;
  readonly shape: ShapeName;
  readonly condition: Condition;
  /** Numbers of scores after which the serving version is evaluated, growing; 0 is the start. A preference counts as one. */
  readonly budgets: readonly number[];
  readonly heldOutPosts: number;
  /** What differs from the learner's defaults and from the shape's settings. */
  readonly settings: LearnerSettingsInput;
}

/** The live version on held-out posts, and what it took to get there. */
export interface OnlinePoint {
  /** Scores and preferences that had been given. */
  readonly scores: number;
  /** Mean reward of one completion per held-out post, by the judge itself. */
  readonly reward: number;
  /** Mean length of these completions in tokens. */
  readonly tokens: number;
  readonly version: number;
  readonly steps: number;
  /** KL to version 0 in the last round, nats per completion, as the learner reports it; null before the first. */
  readonly kl: number | null;
  /** Rounds so far that went out of bounds. Cells that were computed before the loop had a guard do not know it. */
  readonly setbacks?: number;
}

export interface OnlineResult {
  readonly points: readonly OnlinePoint[];
  /** Seconds that each part took. */
  readonly seconds: { readonly generating: number; readonly learning: number; readonly evaluating: number };
}
