/** Phi-2 (`phi`), and Phi-3, 3.5 and 4-mini (`phi3`). */

import {
  type Family,
  layerNorm,
  layerPaths,
  linear,
  projections,
  readActivation,
  readHead,
  readSizes,
  rmsNorm,
  rotary,
} from './family.js';

/** Packed products, RMS norms, gated ffn, and a window. */
export const phi3: Family = {
  modelTypes: ['phi3'],
  base: 'model',
  describe: (fields, base) => {
    const sizes = readSizes(fields);
    const epsilon = fields.number('rms_norm_eps', 1e-5);
    const activation = readActivation(fields, 'hidden_act', 'silu');
    const turns = rotary(fields, sizes);
    const window = fields.optionalNumber('sliding_window');
    fields.ignore('original_max_position_embeddings');
    // Phi-4-mini's files name them; transformers reads none of them.
    fields.only('attention_bias', false);
    fields.only('mlp_bias', false);
    fields.only('lm_head_bias', false);
    fields.only('full_attn_mod', 1);
    fields.only('interpolate_factor', 1);
    return {
      ...sizes,
      embedding: { module: `${base}.embed_tokens` },
      layers: layerPaths(base, sizes.layerCount).map((at) => ({
        attention: {
          projections: { packed: linear(`${at}.self_attn.qkv_proj`), order: 'parts' },
          output: linear(`${at}.self_attn.o_proj`),
          rotary: turns,
          scale: sizes.headSize ** -0.5,
          window,
        },
        ffn: { up: { gateUp: linear(`${at}.mlp.gate_up_proj`) }, down: linear(`${at}.mlp.down_proj`), activation },
        order: 'sequential',
        beforeAttention: rmsNorm(`${at}.input_layernorm`, epsilon),
        afterAttention: null,
        beforeFfn: rmsNorm(`${at}.post_attention_layernorm`, epsilon),
        afterFfn: null,
      })),
      lastNorm: rmsNorm(`${base}.norm`, epsilon),
      head: readHead(fields, false),
    };
  },
};

/** One norm for attention and ffn, which are added together; biases everywhere; a part of each head is rotated. */
export const phi: Family = {
  modelTypes: ['phi'],
  base: 'model',
  describe: (fields, base) => {
    const sizes = readSizes(fields);
    const epsilon = fields.number('layer_norm_eps', 1e-5);
    const activation = readActivation(fields, 'hidden_act', 'gelu_new');
    const turns = rotary(fields, sizes, { share: 0.5 });
    const normed = fields.flag('qk_layernorm', false);
    return {
      ...sizes,
      embedding: { module: `${base}.embed_tokens` },
      layers: layerPaths(base, sizes.layerCount).map((at) => {
        const norm = layerNorm(`${at}.input_layernorm`, epsilon);
        const [query, key] = [`${at}.self_attn.q_layernorm`, `${at}.self_attn.k_layernorm`].map((module) =>
          layerNorm(module, epsilon),
        ) as [ReturnType<typeof layerNorm>, ReturnType<typeof layerNorm>];
        return {
          attention: {
            projections: projections(`${at}.self_attn`, true),
            output: linear(`${at}.self_attn.dense`, true),
            rotary: turns,
            scale: sizes.headSize ** -0.5,
            window: null,
            ...(normed ? { queryKeyNorm: { over: 'head' as const, query, key } } : {}),
          },
          ffn: { up: { up: linear(`${at}.mlp.fc1`, true) }, down: linear(`${at}.mlp.fc2`, true), activation },
          order: 'parallel',
          beforeAttention: norm,
          afterAttention: null,
          beforeFfn: norm,
          afterFfn: null,
        };
      }),
      lastNorm: layerNorm(`${base}.final_layernorm`, epsilon),
      head: readHead(fields, false, 'lm_head', true),
    };
  },
};
