/** Descent of versions. A parent has a smaller number; the parent of a rollback is the version that it serves again. */

import type { Version } from './types.js';

/** Returns these versions and all that were trained from them or serve their weights again, ascending. */
export function descendants(all: readonly Version[], numbers: readonly number[]): number[] {
  const found = new Set(numbers);
  for (const { number, parent } of all) if (parent !== null && found.has(parent)) found.add(number);
  return [...found].sort((a, b) => a - b);
}

/** Whether a version is an import or descends from one. */
export function descendsFromImport(all: readonly Version[], number: number): boolean {
  const imports = all.filter(({ origin }) => origin === 'imported').map((version) => version.number);
  return descendants(all, imports).includes(number);
}
