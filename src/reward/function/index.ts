/**
 * A user's reward function: the default export of an ES module.
 *
 * `(items) => scores`: for a batch of completions, a score for each or `null` where it has nothing to say; or a promise
 * of that. A function of two parameters is asked completion by completion, `(prompt, completion) => score`: the prompt's
 * text (of a chat: its last message) and the completion's.
 */

import { pathToFileURL } from 'node:url';
import { HoneError } from '../../errors.js';
import type { RewardedCompletion } from '../types.js';

/** As a reward process asks it; what comes back is checked by whoever asked. */
export type RewardFunction = (items: readonly RewardedCompletion[]) => unknown;

/** Imports a module. @throws HoneError `INVALID_OPTIONS` where it cannot be imported or exports no function */
export async function loadRewardFunction(path: string): Promise<RewardFunction> {
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new HoneError('INVALID_OPTIONS', `the reward function ${path} cannot be imported: ${message}`, { cause });
  }
  if (typeof exported !== 'function') {
    throw new HoneError(
      'INVALID_OPTIONS',
      `the reward function ${path} has ${exported === undefined ? 'no default export' : `a default export that is a ${typeof exported}`}; ` +
        'export default a function of completions: docs/reward-models.md',
    );
  }
  if (exported.length !== 2) return exported as RewardFunction;
  const each = exported as (prompt: string, completion: string) => unknown;
  return (items) => Promise.all(items.map((item) => each(promptText(item), item.text)));
}

/** The prompt, or the content of the last message. */
function promptText({ promptJson }: RewardedCompletion): string {
  const { prompt, messages } = JSON.parse(promptJson) as {
    prompt?: string;
    messages?: readonly { readonly content: string }[];
  };
  return prompt ?? messages?.at(-1)?.content ?? '';
}
