/** Nothing of the candidate may be something else than a finite number. */

import type { CheckResult, Evidence } from '../types.js';

/** Refuses weights, figures of the learner and logits that are not finite. Never short of evidence. */
export function checkFinite({ notFinite }: Evidence): CheckResult {
  return {
    check: 'finite',
    outcome: notFinite === null ? 'passed' : 'failed',
    detail: notFinite ?? 'all weights and figures are finite',
    numbers: {},
  };
}
