/** Makes prompts with a given number of tokens. No two have the same beginning, so no engine finds one in a cache. */

import type { PackageTokenizer } from '../../src/package/index.js';

const words =
  'the of a to in was for on that with as my we it at from house train garden letter morning friend road work answer ' +
  'sister money phone kitchen summer teacher doctor dinner winter office river mother window paper story problem week ' +
  'asked told went found thought called wanted started finished looked because after before although never always';
const vocabulary = words.split(' ');

/** Returns a text that starts with its seed, followed by random words. */
function promptText(seed: number, length: number): string {
  let state = (seed * 2_654_435_761 + 97) >>> 0;
  const next = (): string => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return vocabulary[Math.floor((state / 2 ** 32) * vocabulary.length)] as string;
  };
  return `${seed} ${Array.from({ length }, next).join(' ')}`;
}

/** Returns exactly `length` tokens. */
export function promptTokens(tokenizer: PackageTokenizer, seed: number, length: number): number[] {
  return tokenizer.encodeText(promptText(seed, length)).slice(0, length);
}
