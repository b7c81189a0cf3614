/** What the checks that look at drawn completions share: how many prompts there are, and whether they are enough. */

import type { CheckName, CheckResult, PromptEvidence } from '../types.js';

/** Prompts by kind, for a check's figures. */
export function promptCounts(prompts: readonly PromptEvidence[]): Record<string, number> {
  const heldOut = prompts.filter((prompt) => prompt.heldOut).length;
  return { held_out_prompts: heldOut, other_prompts: prompts.length - heldOut };
}

/** The check's result where the prompts are too few for it; `null` where they are enough. */
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
