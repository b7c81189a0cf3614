/** Cohere's Command R (`cohere`): attention and ffn read one norm and are added together; pairs are neighbours. */

import type { Norm } from '../checkpoint/decoder-plan.js';
import type { Family } from './family.js';
import { llamaPlan } from './llama.js';

export const cohere: Family = {
  modelTypes: ['cohere'],
  base: 'model',
  describe: (fields, base) => {
    // Versions of transformers have different bases for files that name none.
    if (!fields.has('rope_theta') && !fields.has('rope_parameters')) throw fields.refuse('rope_theta', 'is missing');
    const bias = fields.flag('attention_bias', false);
    const plan = llamaPlan(fields, base, { biases: { projections: bias, output: bias, ffn: false }, tied: true });
    const epsilon = fields.number('layer_norm_eps', 1e-5);
    fields.only('use_qk_norm', false);
    return {
      ...plan,
      layers: plan.layers.map((layer, i) => {
        const norm: Norm = { kind: 'mean', epsilon, module: `${base}.layers.${i}.input_layernorm` };
        const { rotary } = layer.attention;
        return {
          ...layer,
          attention: { ...layer.attention, rotary: rotary === null ? null : { ...rotary, interleaved: true } },
          order: 'parallel',
          beforeAttention: norm,
          beforeFfn: norm,
        };
      }),
      lastNorm: { kind: 'mean', epsilon, module: `${base}.norm` },
      head: { ...plan.head, scale: fields.number('logit_scale', 0.0625) },
    };
  },
};
