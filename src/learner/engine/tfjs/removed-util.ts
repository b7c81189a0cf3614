/**
 * Gives Node's `util` back what the native packages still call and Node has taken out.
 *
 * `@tensorflow/tfjs-node` and `@tensorflow/tfjs-node-gpu` 4.22, the newest, call `util.isNullOrUndefined` and
 * `util.isArray` at nearly every operator. Node 23 removed the first; the second is deprecated. Both are asked for anew
 * at each call, on what `require('util')` gives: put back on that object they are found, whenever the package was
 * loaded. (An ES module's named imports would not find them.) What a Node still has is left alone. Nothing else that the
 * packages take from `util` is gone in Node 26, and their dependencies call nothing that is.
 */

import util from 'node:util';

const removed = {
  isArray: Array.isArray,
  isNullOrUndefined: (value: unknown): boolean => value === null || value === undefined,
} as const;

/** For a process that is about to use a native package; once or many times. */
export function restoreRemovedUtil(): void {
  const target = util as Record<string, unknown>;
  for (const [name, restored] of Object.entries(removed)) target[name] ??= restored;
}
