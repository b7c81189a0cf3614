/** Shared by the checks on drawn completions: counts their prompts and decides whether they are enough. */

import type { CheckName, CheckResult, PromptEvidence } from '../types.js';

/** Returns the number of prompts of each kind, for the figures of a check. */
export function promptCounts(prompts: readonly PromptEvidence[]): Record<string, number> {
  const heldOut = prompts.filter((prompt) => prompt.heldOut).length;
  return { held_out_prompts: heldOut, other_prompts: prompts.length - heldOut };
}

/** Returns the result `skipped` if there are too few prompts for a check, otherwise `null`. */
export function tooFewPrompts(
  check: CheckName,
  prompts: readonly PromptEvidence[],
  minPrompts: number,
): CheckResult | null {
  if (prompts.length >= minPrompts) return null;
  return {
    check,
    outcome: 'skipped',
    detail: `it was measured on ${prompts.length} prompts, at least ${minPrompts} are needed`,
    numbers: promptCounts(prompts),
  };
}
