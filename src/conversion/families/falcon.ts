/** Falcon: the form of 7B (one key-value head) and the newer one of 40B, 11B and others (groups of heads). */

import { type Family, layerNorm, layerPaths, linear, readActivation, readHead, rotary, wholeHeads } from './family.js';

export const falcon: Family = {
  modelTypes: ['falcon'],
  base: 'transformer',
  describe: (fields, base) => {
    fields.only('alibi', false);
    const hiddenSize = fields.count('hidden_size');
    const heads = fields.count('num_attention_heads');
    const newer = fields.flag('new_decoder_architecture', false);
    const multiQuery = fields.flag('multi_query', true);
    const kvHeads = newer ? fields.count('num_kv_heads', heads) : multiQuery ? 1 : heads;
    fields.ignore('num_kv_heads');
    const headSize = wholeHeads(fields, hiddenSize, heads);
    const contextLength = fields.count('max_position_embeddings', 2048);
    const bias = fields.flag('bias', false);
    const epsilon = fields.number('layer_norm_epsilon', 1e-5);
    const activation = readActivation(fields, 'activation', 'gelu');
    const parallel = fields.flag('parallel_attn', true) || newer;
    const twoNorms = newer && (fields.optionalNumber('num_ln_in_parallel_attn') ?? 2) === 2;
    fields.ignore('num_ln_in_parallel_attn');
    const turns = rotary(fields, { headSize, contextLength });
    return {
      hiddenSize,
      ffnSize: fields.has('ffn_hidden_size') ? fields.count('ffn_hidden_size') : 4 * hiddenSize,
      heads,
      kvHeads,
      headSize,
      vocabularySize: fields.count('vocab_size'),
      contextLength,
      embedding: { module: `${base}.word_embeddings` },
      layers: layerPaths(base, fields.count('num_hidden_layers'), 'h').map((at) => {
        const first = layerNorm(twoNorms ? `${at}.ln_attn` : `${at}.input_layernorm`, epsilon);
        const second = parallel ? first : layerNorm(`${at}.post_attention_layernorm`, epsilon);
        return {
          attention: {
            projections: {
              packed: linear(`${at}.self_attention.query_key_value`, bias),
              order: newer || !multiQuery ? 'groups' : 'parts',
            },
            output: linear(`${at}.self_attention.dense`, bias),
            rotary: turns,
            scale: headSize ** -0.5,
            window: null,
          },
          ffn: {
            up: { up: linear(`${at}.mlp.dense_h_to_4h`, bias) },
            down: linear(`${at}.mlp.dense_4h_to_h`, bias),
            activation,
          },
          order: parallel ? 'parallel' : 'sequential',
          beforeAttention: first,
          afterAttention: null,
          beforeFfn: twoNorms ? layerNorm(`${at}.ln_mlp`, epsilon) : second,
          afterFfn: null,
        };
      }),
      lastNorm: layerNorm(`${base}.ln_f`, epsilon),
      head: readHead(fields, true),
    };
  },
};
