/** Judges a candidate: a pure function of the evidence. */

import { checkFinite } from './checks/finite.js';
import { checkHealth } from './checks/health.js';
import { checkKl } from './checks/kl.js';
import { checkOffPolicy } from './checks/off-policy.js';
import { checkRewardModel } from './checks/reward-model.js';
import type { GateSettings } from './settings.js';
import type { CheckName, CheckResult, Evidence, Verdict } from './types.js';

type Check = (evidence: Evidence, settings: GateSettings) => CheckResult;

const checks: Readonly<Record<CheckName, Check>> = {
  finite: checkFinite,
  kl: checkKl,
  health: checkHealth,
  reward_model: checkRewardModel,
  off_policy: checkOffPolicy,
};

/** The checks, in the order in which a verdict lists them. */
export const checkNames = Object.keys(checks) as readonly CheckName[];

/**
 * Judges the evidence. A candidate passes if no check fails. A check without enough evidence is reported as skipped, and
 * does not count against the candidate.
 */
export function judge(evidence: Evidence, settings: GateSettings): Verdict {
  const results = checkNames.map((check): CheckResult => {
    if (settings[check].enabled) return checks[check](evidence, settings);
    return { check, outcome: 'skipped', detail: 'it is switched off', numbers: {} };
  });
  return { passed: results.every(({ outcome }) => outcome !== 'failed'), checks: results };
}

/** Describes a verdict in a sentence: why it failed, or which checks passed and which could not be made. */
export function describeVerdict({ passed, checks: results }: Verdict): string {
  const list = (outcome: CheckResult['outcome']): string[] =>
    results
      .filter((result) => result.outcome === outcome)
      .map(({ check, detail }) => (outcome === 'passed' ? check : `${check}: ${detail}`));
  if (!passed) return list('failed').join('; ');
  const [held, unknown] = [list('passed'), list('skipped')];
  if (unknown.length === 0) return `passed ${held.join(', ')}`;
  // Finite weights alone say nothing about the completions of the version.
  const little = held.every((check) => check === 'finite') ? 'little is known: ' : '';
  return `${little}passed ${held.join(', ') || 'nothing'}; not measured: ${unknown.join('; ')}`;
}
