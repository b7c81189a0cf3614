/** Checks the answer of a reward process, which user code may have made. */

export interface CheckedScores {
  /** `null` for a completion without a valid score. */
  readonly scores: readonly (number | null)[];
  /** What is wrong with the answer; `undefined` if it is valid. */
  readonly problem: string | undefined;
}

/** A valid answer is a list as long as the batch, of finite numbers and nulls. Everything else becomes `null`. */
export function checkScores(answer: unknown, count: number): CheckedScores {
  const none = new Array<null>(count).fill(null);
  if (!Array.isArray(answer)) {
    return { scores: none, problem: `answered ${describe(answer)}; it must answer a list of ${count} scores` };
  }
  if (answer.length !== count) {
    return { scores: none, problem: `answered ${answer.length} scores for ${count} completions` };
  }
  const bad = answer.filter((value) => value !== null && !isScore(value));
  const problem =
    bad.length === 0
      ? undefined
      : `answered ${describe(bad[0])} for ${bad.length} of ${count} completions; each score must be a finite number or null`;
  return { scores: answer.map((value) => (isScore(value) ? value : null)), problem };
}

function isScore(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** Describes a number by its value and anything else by its type only, because it may hold a user's text. */
function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'a list';
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`;
}
