/**
 * Requests that do not end by themselves, even if a test is slow. Their completions are longer than a connection can
 * hold and than the policy computes ahead of its reader, so they wait until they are read.
 */

import { makeLongPackage } from './policy/policy.js';

/** A request for a server with {@link endlessArgs}. If it is read to its end, it takes a second or two. */
export const endlessRequest = {
  prompt: 'without end',
  n: 4,
  maxTokens: 2000,
  ignoreEos: true,
  logprobs: true,
  topLogprobs: 20,
} as const;

/** Flags of a server whose model has a context that is long enough. */
export async function endlessArgs(): Promise<string[]> {
  return ['--package', await makeLongPackage(4096)];
}
