/** Looks for numbers that are not finite, before anything is computed with them. */

import type { Adapter } from '../versions/index.js';

/** Describes the first weight or figure of the learner that is not finite; `null` if all are. */
export function findNotFinite(adapter: Adapter, metrics: Readonly<Record<string, number>>): string | null {
  for (const [name, { data }] of adapter.tensors) {
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return `weight ${index} of ${name} is ${data[index]}`;
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) return `the learner reports ${name} as ${value}`;
  }
  return null;
}
