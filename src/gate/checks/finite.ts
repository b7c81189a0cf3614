/** Checks that every number of the candidate is finite. */

import type { CheckResult, Evidence } from '../types.js';

/** Fails if a weight, a figure of the learner or a logit is not finite. It always has enough evidence. */
export function checkFinite({ notFinite }: Evidence): CheckResult {
  return {
    check: 'finite',
    outcome: notFinite === null ? 'passed' : 'failed',
    detail: notFinite ?? 'all weights and figures are finite',
    numbers: {},
  };
}
