/** Which prompts the versions are compared on: newest traffic first, and those that never train before all others. */

import type { Package } from '../package/index.js';
import { groupKey, isHeldOut, type ReplayStore, type StoredPrompt } from '../replay/index.js';

/** A prompt to draw completions for. */
export interface GatePrompt extends StoredPrompt {
  readonly heldOut: boolean;
}

/** Prompts looked through, at most: a share is held out. */
const maxLookedThrough = 4096;

/**
 * At most `count` prompts of this package that leave room for a completion. Where too few are held out, newest others
 * fill up.
 * @param holdoutShare of the learner's settings
 */
export async function choosePrompts(
  replay: Pick<ReplayStore, 'recentPrompts'>,
  pkg: Package,
  holdoutShare: number,
  count: number,
): Promise<GatePrompt[]> {
  // Half as many again as it takes on average.
  const enough = holdoutShare > 0 ? Math.ceil((1.5 * count) / holdoutShare) : count;
  const recent = await replay.recentPrompts(Math.max(count, Math.min(maxLookedThrough, enough)));
  const usable = recent
    .filter(({ promptTokens, groupKey: key }) => {
      const { length } = promptTokens;
      // Prompts of another package are other texts, or other tokens of the same.
      return length > 0 && length < pkg.config.contextLength && key === groupKey(pkg.digest, promptTokens);
    })
    .map((prompt): GatePrompt => ({ ...prompt, heldOut: isHeldOut(prompt.groupKey, holdoutShare) }));
  return [...usable.filter(({ heldOut }) => heldOut), ...usable.filter(({ heldOut }) => !heldOut)].slice(0, count);
}
