/** Checks the answer of a reward model or function to a batch. Runs in its process, so that no odd answer leaves it. */

import { isInRange, type MetricRange, outsideRange } from '../range.js';

/** The metric of the scores, and its range. */
export interface ScoreScale extends MetricRange {
  readonly metric: string;
}

export type CheckedAnswer =
  /** A score for each completion, in order; `null` if the program has none for it. */
  | { readonly is: 'valid'; readonly scores: readonly (number | null)[] }
  /** Some scores are no scores. The answer counts as a whole or not at all. */
  | { readonly is: 'invalid'; readonly problem: string }
  /** It is no list, or one of another length. The program is at fault, whatever the completions are. */
  | { readonly is: 'misshapen'; readonly problem: string };

/** A valid answer is a list as long as the batch, of numbers within the range of the metric and nulls. */
export function checkScores(answer: unknown, count: number, scale: ScoreScale): CheckedAnswer {
  if (!Array.isArray(answer)) {
    return { is: 'misshapen', problem: `answered ${describe(answer)}; it must answer a list of ${count} scores` };
  }
  if (answer.length !== count) {
    const problem = `answered ${answer.length} scores for ${count} completions; it must answer one for each, in order`;
    return { is: 'misshapen', problem };
  }
  // Not the methods of the list, which skip places that were never set.
  const values = Array.from<unknown>(answer);
  const bad = values.filter((value) => value !== null && !isFiniteNumber(value));
  if (bad.length > 0) {
    const given = `answered ${describe(bad[0])} for ${bad.length} of ${count} completions`;
    return { is: 'invalid', problem: `${given}; each score must be a finite number, or null for none` };
  }
  const scores = values as (number | null)[];
  const outside = scores.find((value) => value !== null && !isInRange(value, scale));
  if (outside !== undefined && outside !== null) {
    return { is: 'invalid', problem: `answered ${outside}: each score ${outsideRange(scale.metric, scale, outside)}` };
  }
  return { is: 'valid', scores };
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** Describes a number by its value and anything else by its type only, because it may hold a user's text. */
function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'a list';
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`;
}
