/** Small adapters with seeded values for the tests of versions. */

import type { Adapter, AdapterTarget, AdapterTensor } from '../../src/versions/index.js';
import { zeroAdapter } from '../../src/versions/index.js';

export const targets: readonly AdapterTarget[] = [
  { module: 'model.layers.0.self_attn.q_proj', inFeatures: 6, outFeatures: 4 },
  { module: 'model.layers.1.mlp.down_proj', inFeatures: 5, outFeatures: 6 },
];

export const zero = zeroAdapter(targets, 2, 1.7);

/** Makes an adapter with the shapes of {@link zero}, or of another one, and values from a seed. */
export function someAdapter(seed: number, like: Adapter = zero): Adapter {
  let state = seed >>> 0;
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, { dims, data }] of like.tensors) {
    const values = data.map(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32 - 0.5;
    });
    tensors.set(name, { dims, data: values });
  }
  return { rank: like.rank, scale: like.scale, tensors };
}

export const meta = {
  packageDigest: 'a'.repeat(64),
  baseModel: 'tldr',
  parent: 0,
  createdAtMs: 1000,
  metrics: { steps: 8, broken: Number.NaN },
};
