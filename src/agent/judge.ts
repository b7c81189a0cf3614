/** Judges a candidate before it may serve. Here every finite candidate is promoted. */

import type { Adapter } from '../versions/types.js';

/** The judgement, and in words why not. */
export type Verdict = { readonly promote: true } | { readonly promote: false; readonly reason: string };

/** Refuses a candidate with a weight or a metric that is not finite. */
export function judgeCandidate(adapter: Adapter, metrics: Readonly<Record<string, number>>): Verdict {
  for (const [name, { data }] of adapter.tensors) {
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return { promote: false, reason: `weight ${index} of ${name} is ${data[index]}` };
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (!Number.isFinite(value)) return { promote: false, reason: `the learner reports ${name} as ${value}` };
  }
  return { promote: true };
}
