/** Looks for what is not a finite number, before anything is computed with it. */

import type { Adapter } from '../versions/index.js';

/** The first weight or figure of the learner's that is not finite, in words; `null` where all are. */
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
