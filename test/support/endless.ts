/**
 * Requests that do not end by themselves, however slow a test is: they have more to say than a connection holds and a
 * policy computes ahead of its reader, so that they wait until they are read.
 */

import { makeLongPackage } from './policy/policy.js';

/** On the package of {@link endlessArgs}. Read to its end it takes a second or two. */
export const endlessRequest = {
  prompt: 'without end',
  n: 4,
  maxTokens: 2000,
  ignoreEos: true,
  logprobs: true,
  topLogprobs: 20,
} as const;

/** Flags of a server whose model has room for such. */
export async function endlessArgs(): Promise<string[]> {
  return ['--package', await makeLongPackage(4096)];
}
