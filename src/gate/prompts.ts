/** Chooses the prompts on which versions are compared: held-out prompts first, and of each kind the newest. */

import type { Package } from '../package/index.js';
import { groupKey, isHeldOut, type ReplayStore, type StoredPrompt } from '../replay/index.js';

/** A prompt to draw completions for. */
export interface GatePrompt extends StoredPrompt {
  readonly heldOut: boolean;
}

/** Largest number of recent prompts to search for held-out ones. */
const maxLookedThrough = 4096;

/**
 * Returns at most `count` prompts of this package that leave room for a completion. If too few are held out, the newest
 * others fill the list.
 * @param holdoutShare from the learner's settings
 */
export async function choosePrompts(
  replay: Pick<ReplayStore, 'recentPrompts'>,
  pkg: Package,
  holdoutShare: number,
  count: number,
): Promise<GatePrompt[]> {
  // One and a half times the number that contains `count` held-out prompts on average.
  const enough = holdoutShare > 0 ? Math.ceil((1.5 * count) / holdoutShare) : count;
  const recent = await replay.recentPrompts(Math.max(count, Math.min(maxLookedThrough, enough)));
  const usable = recent
    .filter(({ promptTokens, groupKey: key }) => {
      const { length } = promptTokens;
      // A prompt of another package has a different group key, because its tokens have a different meaning.
      return length > 0 && length < pkg.config.contextLength && key === groupKey(pkg.digest, promptTokens);
    })
    .map((prompt): GatePrompt => ({ ...prompt, heldOut: isHeldOut(prompt.groupKey, holdoutShare) }));
  return [...usable.filter(({ heldOut }) => heldOut), ...usable.filter(({ heldOut }) => !heldOut)].slice(0, count);
}
