/** OLMo 1 (norms without weights) and OLMo 2 (norms after attention and ffn, and over all of query and key). */

import type { Norm } from '../checkpoint/decoder-plan.js';
import { type Family, rmsNorm } from './family.js';
import { llamaPlan } from './llama.js';

export const olmo: Family = {
  modelTypes: ['olmo'],
  base: 'model',
  describe: (fields, base) => {
    const bias = fields.flag('attention_bias', false);
    const plan = llamaPlan(fields, base, { biases: { projections: bias, output: bias, ffn: false }, tied: false });
    if (fields.has('clip_qkv'))
      throw fields.refuse('clip_qkv', 'is set, but Hone does not clip queries, keys and values');
    fields.ignore('clip_qkv');
    const norm: Norm = { kind: 'mean', epsilon: 1e-5, module: null };
    const layers = plan.layers.map((layer) => ({ ...layer, beforeAttention: norm, beforeFfn: norm }));
    return { ...plan, layers, lastNorm: norm };
  },
};

export const olmo2: Family = {
  modelTypes: ['olmo2'],
  base: 'model',
  describe: (fields, base) => {
    const bias = fields.flag('attention_bias', false);
    const plan = llamaPlan(fields, base, { biases: { projections: bias, output: bias, ffn: false }, tied: false });
    const epsilon = fields.number('rms_norm_eps', 1e-5);
    const norm = (module: string): Norm => rmsNorm(module, epsilon);
    return {
      ...plan,
      layers: plan.layers.map((layer, i) => {
        const at = `${base}.layers.${i}`;
        const [query, key] = [norm(`${at}.self_attn.q_norm`), norm(`${at}.self_attn.k_norm`)];
        return {
          ...layer,
          attention: { ...layer.attention, queryKeyNorm: { over: 'all', query, key } },
          beforeAttention: null,
          afterAttention: norm(`${at}.post_attention_layernorm`),
          beforeFfn: null,
          afterFfn: norm(`${at}.post_feedforward_layernorm`),
        };
      }),
      lastNorm: norm(`${base}.norm`),
    };
  },
};
