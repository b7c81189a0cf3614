/** How candidates are judged before they may serve. */

import type { CheckResult, Verdict } from '../gate/types.js';
import type { Adapter, Version } from '../versions/types.js';

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
    outcome: wrong === undefined ? 'passed' : 'failed',
    detail: wrong ?? 'every weight and figure is finite',
    numbers: {},
  };
  return { passed: wrong === undefined, checks: [check] };
};

function findNotFinite(adapter: Adapter, metrics: Readonly<Record<string, number>>): string | undefined {
  for (const [name, { data }] of adapter.tensors) {
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return `weight ${index} of ${name} is ${data[index]}`;
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) return `the learner reports ${name} as ${value}`;
  }
  return undefined;
}

/** Why a verdict is what it is, in one line. */
export function describeVerdict({ passed, checks }: Verdict): string {
  if (!passed) {
    const failed = checks.filter(({ outcome }) => outcome === 'failed');
    return failed.map(({ check, detail }) => `${check}: ${detail}`).join('; ');
  }
  const outcomes = ['passed', 'skipped'].map((wanted) => {
    const names = checks.filter(({ outcome }) => outcome === wanted).map(({ check }) => check);
    return names.length === 0 ? '' : `${wanted}: ${names.join(', ')}`;
  });
  return outcomes.filter((text) => text !== '').join('; ');
}

/** The figures of all checks under one roof. */
export function verdictNumbers({ passed, checks }: Verdict): Record<string, number> {
  const figures = checks.flatMap(({ check, numbers }) =>
    Object.entries(numbers).map(([name, value]) => [`${check}_${name}`, value] as const),
  );
  return { passed: passed ? 1 : 0, ...Object.fromEntries(figures) };
}
