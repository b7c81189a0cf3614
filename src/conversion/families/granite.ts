/** Granite 3: Llama with factors of embedding, scores, residuals and logits. */

import type { Family } from './family.js';
import { llamaPlan, statedBiases } from './llama.js';

export const granite: Family = {
  modelTypes: ['granite'],
  base: 'model',
  describe: (fields, base) => {
    const plan = llamaPlan(fields, base, { biases: statedBiases(fields), tied: false });
    const scale = fields.number('attention_multiplier', 1);
    const residualScale = fields.number('residual_multiplier', 1);
    return {
      ...plan,
      embedding: { ...plan.embedding, scale: fields.number('embedding_multiplier', 1) },
      layers: plan.layers.map((layer) => ({ ...layer, residualScale, attention: { ...layer.attention, scale } })),
      head: { ...plan.head, scale: 1 / fields.number('logits_scaling', 1) },
    };
  },
};
