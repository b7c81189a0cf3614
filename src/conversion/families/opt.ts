/** OPT: learned positions whose table begins with two unused rows, mean norms, biases, a plain ffn. */

import {
  type Family,
  layerNorm,
  layerPaths,
  linear,
  projections,
  readActivation,
  readHead,
  wholeHeads,
} from './family.js';

export const opt: Family = {
  modelTypes: ['opt'],
  base: 'model.decoder',
  otherBases: ['decoder'],
  describe: (fields, base) => {
    const hiddenSize = fields.count('hidden_size');
    const heads = fields.count('num_attention_heads');
    const layerCount = fields.count('num_hidden_layers');
    // OPT-350m alone has norms after the sums, and an embedding of another width.
    fields.only('do_layer_norm_before', true);
    fields.only('word_embed_proj_dim', hiddenSize);
    fields.only('layer_norm_elementwise_affine', true);
    const last = !fields.flag('_remove_final_layer_norm', false);
    const bias = fields.flag('enable_bias', true);
    fields.ignore('layerdrop');
    const activation = readActivation(fields, 'activation_function', 'relu');
    const headSize = wholeHeads(fields, hiddenSize, heads);
    return {
      hiddenSize,
      ffnSize: fields.count('ffn_dim'),
      heads,
      kvHeads: heads,
      headSize,
      vocabularySize: fields.count('vocab_size'),
      contextLength: fields.count('max_position_embeddings'),
      embedding: { module: `${base}.embed_tokens`, positions: { module: `${base}.embed_positions`, offset: 2 } },
      layers: layerPaths(base, layerCount).map((at) => ({
        attention: {
          projections: projections(`${at}.self_attn`, bias),
          output: linear(`${at}.self_attn.out_proj`, bias),
          rotary: null,
          scale: headSize ** -0.5,
          window: null,
        },
        ffn: { up: { up: linear(`${at}.fc1`, bias) }, down: linear(`${at}.fc2`, bias), activation },
        order: 'sequential',
        beforeAttention: layerNorm(`${at}.self_attn_layer_norm`, 1e-5),
        afterAttention: null,
        beforeFfn: layerNorm(`${at}.final_layer_norm`, 1e-5),
        afterFfn: null,
      })),
      lastNorm: last ? layerNorm(`${base}.final_layer_norm`, 1e-5) : null,
      head: readHead(fields, true),
    };
  },
};
