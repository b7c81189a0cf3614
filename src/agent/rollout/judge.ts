/** How candidates are judged before they may serve. */

import { type CheckResult, findNotFinite, type Verdict } from '../../gate/index.js';
import type { Adapter, Version } from '../../versions/index.js';

/** A candidate as the gate sees it. */
export interface JudgedCandidate {
  readonly version: Version;
  readonly adapter: Adapter;
  /** What its maker reports, finite or not. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the live version. */
  readonly live: number;
}

/** @param signal aborts when the server stops: what it throws then is not looked at */
export type Judge = (candidate: JudgedCandidate, signal: AbortSignal) => Promise<Verdict>;

/** Asks for nothing but finite numbers: a gate that is off. */
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

/** The figures of all checks under one roof. */
export function verdictNumbers({ passed, checks }: Verdict): Record<string, number> {
  const figures = checks.flatMap(({ check, numbers }) =>
    Object.entries(numbers).map(([name, value]) => [`${check}_${name}`, value] as const),
  );
  return { passed: passed ? 1 : 0, ...Object.fromEntries(figures) };
}
