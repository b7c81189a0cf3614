/** SmolLM3: Llama that leaves rotary positions out in some layers. */

import { type Family, readWindowed } from './family.js';
import { llamaPlan, statedBiases } from './llama.js';

export const smollm3: Family = {
  modelTypes: ['smollm3'],
  base: 'model',
  describe: (fields, base) => {
    const plan = llamaPlan(fields, base, { biases: statedBiases(fields), tied: true, theta: 2_000_000 });
    const count = plan.layers.length;
    const interval = fields.count('no_rope_layer_interval', 4);
    const kept = fields.list('no_rope_layers') ?? plan.layers.map((_, i) => ((i + 1) % interval === 0 ? 0 : 1));
    if (kept.length !== count || kept.some((value) => value !== 0 && value !== 1)) {
      throw fields.refuse('no_rope_layers', `is not a list of 0 or 1 for each of ${count} layers`);
    }
    const window = fields.flag('use_sliding_window', false) ? fields.optionalNumber('sliding_window') : null;
    fields.ignore('sliding_window');
    const windowed = readWindowed(fields, count, (i) => window !== null && kept[i] === 1);
    return {
      ...plan,
      layers: plan.layers.map((layer, i) => ({
        ...layer,
        attention: {
          ...layer.attention,
          rotary: kept[i] === 1 ? layer.attention.rotary : null,
          window: windowed[i] ? window : null,
        },
      })),
    };
  },
};
