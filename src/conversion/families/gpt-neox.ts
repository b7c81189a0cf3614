/** GPT-NeoX and Pythia: a packed product by head, a part of each head rotated, attention and ffn added together. */

import { type Family, layerNorm, layerPaths, linear, readActivation, readHead, readSizes, rotary } from './family.js';

export const gptNeox: Family = {
  modelTypes: ['gpt_neox'],
  base: 'gpt_neox',
  otherNames: { 'embed_out.weight': 'lm_head.weight' },
  unused: [/\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/],
  describe: (fields, base) => {
    const sizes = readSizes(fields);
    const epsilon = fields.number('layer_norm_eps', 1e-5);
    const activation = readActivation(fields, 'hidden_act', 'gelu');
    const theta = fields.number('rotary_emb_base', 10_000);
    const turns = rotary(fields, sizes, { share: fields.number('rotary_pct', 0.25), theta });
    const bias = fields.flag('attention_bias', true);
    const parallel = fields.flag('use_parallel_residual', true);
    return {
      ...sizes,
      embedding: { module: `${base}.embed_in` },
      layers: layerPaths(base, sizes.layerCount).map((at) => ({
        attention: {
          projections: { packed: linear(`${at}.attention.query_key_value`, bias), order: 'groups' },
          output: linear(`${at}.attention.dense`, bias),
          rotary: turns,
          scale: sizes.headSize ** -0.5,
          window: null,
        },
        ffn: {
          up: { up: linear(`${at}.mlp.dense_h_to_4h`, true) },
          down: linear(`${at}.mlp.dense_4h_to_h`, true),
          activation,
        },
        order: parallel ? 'parallel' : 'sequential',
        beforeAttention: layerNorm(`${at}.input_layernorm`, epsilon),
        afterAttention: null,
        beforeFfn: layerNorm(`${at}.post_attention_layernorm`, epsilon),
        afterFfn: null,
      })),
      lastNorm: layerNorm(`${base}.final_layer_norm`, epsilon),
      head: readHead(fields, false, 'embed_out'),
    };
  },
};
