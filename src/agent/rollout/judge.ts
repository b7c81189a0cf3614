/** Judges a candidate before it may serve. */

import { type CheckResult, findNotFinite, type Verdict } from '../../gate/index.js';
import type { Adapter, Version } from '../../versions/index.js';

export interface JudgedCandidate {
  readonly version: Version;
  readonly adapter: Adapter;
  /** Figures of the training, which may be infinite or NaN. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the live version. */
  readonly live: number;
}

/** @param signal aborts when the server stops. An error that is thrown then is ignored */
export type Judge = (candidate: JudgedCandidate, signal: AbortSignal) => Promise<Verdict>;

/** The judge when the gate is off: it checks only that all numbers are finite. */
export const judgeFinite: Judge = async ({ adapter, metrics }) => {
  const wrong = findNotFinite(adapter, metrics);
  const check: CheckResult = {
    check: 'finite',
    outcome: wrong === null ? 'passed' : 'failed',
    detail: wrong ?? 'every weight and figure is finite',
    numbers: {},
  };
  return { passed: wrong === null, checks: [check] };
};

/** The figures of all checks, each with the name of its check before it, and `passed` (1 or 0). */
export function verdictNumbers({ passed, checks }: Verdict): Record<string, number> {
  const figures = checks.flatMap(({ check, numbers }) =>
    Object.entries(numbers).map(([name, value]) => [`${check}_${name}`, value] as const),
  );
  return { passed: passed ? 1 : 0, ...Object.fromEntries(figures) };
}
