/** StableLM 2 and StableLM Zephyr: Llama with mean norms, and a quarter of each head rotated. */

import { type Family, layerNorm, rotary } from './family.js';
import { llamaPlan } from './llama.js';

export const stablelm: Family = {
  modelTypes: ['stablelm'],
  base: 'model',
  describe: (fields, base) => {
    const bias = fields.flag('use_qkv_bias', false);
    const plan = llamaPlan(fields, base, { biases: { projections: bias, output: false, ffn: false }, tied: false });
    const turns = rotary(fields, plan, { share: 0.25 });
    const parallel = fields.flag('use_parallel_residual', false);
    const epsilon = fields.number('layer_norm_eps', 1e-5);
    fields.only('qk_layernorm', false);
    // Left over from Llama's files; transformers does not read it.
    fields.ignore('rms_norm_eps');
    return {
      ...plan,
      layers: plan.layers.map((layer, i) => {
        const at = `${base}.layers.${i}`;
        const first = layerNorm(`${at}.input_layernorm`, epsilon);
        return {
          ...layer,
          attention: { ...layer.attention, rotary: turns },
          order: parallel ? 'parallel' : 'sequential',
          beforeAttention: first,
          beforeFfn: parallel ? first : layerNorm(`${at}.post_attention_layernorm`, epsilon),
        };
      }),
      lastNorm: layerNorm(`${base}.norm`, epsilon),
    };
  },
};
