/** Mistral: Llama whose attention may have a window. */

import type { Family } from './family.js';
import { llamaPlan } from './llama.js';

export const mistral: Family = {
  modelTypes: ['mistral'],
  base: 'model',
  describe: (fields, base) => {
    const biases = { projections: false, output: false, ffn: false };
    const plan = llamaPlan(fields, base, { biases, tied: false });
    const window = fields.optionalNumber('sliding_window');
    return {
      ...plan,
      layers: plan.layers.map((layer) => ({ ...layer, attention: { ...layer.attention, window } })),
    };
  },
};
