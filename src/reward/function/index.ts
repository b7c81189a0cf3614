/**
 * A user's reward function: the default export of an ES module.
 *
 * A function `(items) => scores` gets a batch of completions and returns a score or `null` for each, or a promise of that
 * list. A function of two parameters, `(prompt, completion) => score`, is called once for each completion, with the text
 * of the prompt (for a chat, of its last message) and of the completion.
 */

import { pathToFileURL } from 'node:url';
import { HoneError } from '../../errors.js';
import type { RewardedCompletion } from '../types.js';
import { reasonOf } from './reason.js';

/** The function as a reward process calls it. The server checks what it returns. */
export type RewardFunction = (items: readonly RewardedCompletion[]) => unknown;

/** Imports a module. @throws HoneError `INVALID_OPTIONS` if it cannot be imported or exports no function */
export async function loadRewardFunction(path: string): Promise<RewardFunction> {
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
  } catch (cause) {
    throw new HoneError(
      'INVALID_OPTIONS',
      `the reward function ${path} cannot be imported: ${reasonOf(cause)}; correct it, or start without it`,
      { cause },
    );
  }
  if (typeof exported !== 'function') {
    throw new HoneError(
      'INVALID_OPTIONS',
      `the reward function ${path} has ${exported === undefined ? 'no default export' : `a default export that is a ${typeof exported}`}; ` +
        'export default a function of completions (see docs/reward-models.md)',
    );
  }
  if (exported.length !== 2) return exported as RewardFunction;
  const each = exported as (prompt: string, completion: string) => unknown;
  return (items) => Promise.all(items.map((item) => each(promptText(item), item.text)));
}

/** Returns the prompt, or the content of the last message. */
function promptText({ promptJson }: RewardedCompletion): string {
  const { prompt, messages } = JSON.parse(promptJson) as {
    prompt?: string;
    messages?: readonly { readonly content: string }[];
  };
  return prompt ?? messages?.at(-1)?.content ?? '';
}
