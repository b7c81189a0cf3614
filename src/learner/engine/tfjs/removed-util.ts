/**
 * Restores functions of `node:util` that Node has removed and the native packages still call.
 *
 * `@tensorflow/tfjs-node` and `@tensorflow/tfjs-node-gpu` 4.22, the newest, call `util.isNullOrUndefined` and
 * `util.isArray` at nearly every operator. Node 23 removed the first; the second is deprecated. The packages look both
 * up at each call, on the object that `require('util')` returns, so they find a function that is put back there, even
 * after they were loaded. (The named imports of an ES module would not find it.) Functions that this Node has are left
 * alone. Node 26 lacks nothing else that the packages or their dependencies take from `util`.
 */

import util from 'node:util';

const removed = {
  isArray: Array.isArray,
  isNullOrUndefined: (value: unknown): boolean => value === null || value === undefined,
} as const;

/** Call before using a native package; more than one call does no harm. */
export function restoreRemovedUtil(): void {
  const target = util as Record<string, unknown>;
  for (const [name, restored] of Object.entries(removed)) target[name] ??= restored;
}
