/** What a reward process answered: which of it are scores. */

export interface CheckedScores {
  /** `null` where there is none. */
  readonly scores: readonly (number | null)[];
  /** What is wrong with the answer; `undefined`: nothing. */
  readonly problem: string | undefined;
}

/** A list as long as the batch, of finite numbers and nulls; anything else is no score and becomes `null`. */
export function checkScores(answer: unknown, count: number): CheckedScores {
  const none = new Array<null>(count).fill(null);
  if (!Array.isArray(answer)) {
    return { scores: none, problem: `answered ${describe(answer)}; a list of ${count} scores is expected` };
  }
  if (answer.length !== count) {
    return { scores: none, problem: `answered ${answer.length} scores for ${count} completions` };
  }
  const bad = answer.filter((value) => value !== null && !isScore(value));
  const problem =
    bad.length === 0
      ? undefined
      : `answered ${describe(bad[0])} for ${bad.length} of ${count} completions; a finite number or null is expected`;
  return { scores: answer.map((value) => (isScore(value) ? value : null)), problem };
}

function isScore(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** Numbers as they are, of all else only the kind: it may hold what nobody should read in a log. */
function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'a list';
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`;
}
