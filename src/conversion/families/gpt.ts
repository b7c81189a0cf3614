/** GPT-2, GPT-Neo and GPT-J: the layers of `transformer.h`, with mean norms, biases and a plain ffn. */

import type { ConfigFields } from '../checkpoint/config-fields.js';
import type { Linear } from '../checkpoint/decoder-plan.js';
import { rotaryTables } from '../checkpoint/rotary-tables.js';
import {
  type Family,
  layerNorm,
  layerPaths,
  linear,
  projections,
  readActivation,
  readHead,
  type Sizes,
  wholeHeads,
} from './family.js';

/** Buffers of causal masks, which old files hold. */
const masks = [/\.attn\.(attention\.)?(bias|masked_bias)$/];

/** Sizes by the names of GPT-2's file. */
function gptSizes(fields: ConfigFields): Sizes {
  const hiddenSize = fields.count('n_embd');
  const heads = fields.count('n_head');
  const contextLength = fields.count('n_positions');
  // Older files have a second name for the same number.
  fields.only('n_ctx', contextLength);
  return {
    layerCount: fields.count('n_layer'),
    hiddenSize,
    ffnSize: fields.has('n_inner') ? fields.count('n_inner') : 4 * hiddenSize,
    heads,
    kvHeads: heads,
    headSize: wholeHeads(fields, hiddenSize, heads),
    vocabularySize: fields.count('vocab_size'),
    contextLength,
  };
}

const conv1d = (module: string): Linear => ({ module, bias: true, transposed: true });

export const gpt2: Family = {
  modelTypes: ['gpt2'],
  base: 'transformer',
  unused: masks,
  describe: (fields, base) => {
    const sizes = gptSizes(fields);
    fields.ignore('n_inner', 'reorder_and_upcast_attn', 'scale_attn_by_inverse_layer_idx');
    const epsilon = fields.number('layer_norm_epsilon', 1e-5);
    const activation = readActivation(fields, 'activation_function', 'gelu_new');
    const scale = fields.flag('scale_attn_weights', true) ? sizes.headSize ** -0.5 : 1;
    const byLayer = fields.flag('scale_attn_by_inverse_layer_idx', false);
    return {
      ...sizes,
      embedding: { module: `${base}.wte`, positions: { module: `${base}.wpe`, offset: 0 } },
      layers: layerPaths(base, sizes.layerCount, 'h').map((at, i) => ({
        attention: {
          projections: { packed: conv1d(`${at}.attn.c_attn`), order: 'parts' },
          output: conv1d(`${at}.attn.c_proj`),
          rotary: null,
          scale: byLayer ? scale / (i + 1) : scale,
          window: null,
        },
        ffn: { up: { up: conv1d(`${at}.mlp.c_fc`) }, down: conv1d(`${at}.mlp.c_proj`), activation },
        order: 'sequential',
        beforeAttention: layerNorm(`${at}.ln_1`, epsilon),
        afterAttention: null,
        beforeFfn: layerNorm(`${at}.ln_2`, epsilon),
        afterFfn: null,
      })),
      lastNorm: layerNorm(`${base}.ln_f`, epsilon),
      head: readHead(fields, true),
    };
  },
};

/** Rotary positions on a part of each head, neighbours as pairs; attention and ffn read one norm. */
export const gptj: Family = {
  modelTypes: ['gptj'],
  base: 'transformer',
  unused: masks,
  describe: (fields, base) => {
    const sizes = gptSizes(fields);
    fields.ignore('n_inner', 'rotary', 'scale_attn_weights');
    const epsilon = fields.number('layer_norm_epsilon', 1e-5);
    const activation = readActivation(fields, 'activation_function', 'gelu_new');
    const rotated = fields.count('rotary_dim', 64);
    const tables = rotaryTables(fields, null, 10_000, rotated / sizes.headSize, sizes);
    return {
      ...sizes,
      embedding: { module: `${base}.wte` },
      layers: layerPaths(base, sizes.layerCount, 'h').map((at) => {
        const norm = layerNorm(`${at}.ln_1`, epsilon);
        return {
          attention: {
            projections: projections(`${at}.attn`, false),
            output: linear(`${at}.attn.out_proj`),
            rotary: { name: 'rotary', tables, interleaved: true },
            scale: sizes.headSize ** -0.5,
            window: null,
          },
          ffn: { up: { up: linear(`${at}.mlp.fc_in`, true) }, down: linear(`${at}.mlp.fc_out`, true), activation },
          order: 'parallel',
          beforeAttention: norm,
          afterAttention: null,
          beforeFfn: norm,
          afterFfn: null,
        };
      }),
      lastNorm: layerNorm(`${base}.ln_f`, epsilon),
      head: readHead(fields, false, 'lm_head', true),
    };
  },
};

/** Learned positions, scores without a factor, and a window in the layers that the file calls local. */
export const gptNeo: Family = {
  modelTypes: ['gpt_neo'],
  base: 'transformer',
  unused: masks,
  describe: (fields, base) => {
    const hiddenSize = fields.count('hidden_size');
    const heads = fields.count('num_heads');
    const layerCount = fields.count('num_layers');
    const sizes: Sizes = {
      layerCount,
      hiddenSize,
      ffnSize: fields.has('intermediate_size') ? fields.count('intermediate_size') : 4 * hiddenSize,
      heads,
      kvHeads: heads,
      headSize: wholeHeads(fields, hiddenSize, heads),
      vocabularySize: fields.count('vocab_size'),
      contextLength: fields.count('max_position_embeddings'),
    };
    fields.ignore('intermediate_size');
    const window = fields.count('window_size', 256);
    const local = localLayers(fields, layerCount);
    const epsilon = fields.number('layer_norm_epsilon', 1e-5);
    const activation = readActivation(fields, 'activation_function', 'gelu_new');
    return {
      ...sizes,
      embedding: { module: `${base}.wte`, positions: { module: `${base}.wpe`, offset: 0 } },
      layers: layerPaths(base, layerCount, 'h').map((at, i) => ({
        attention: {
          projections: projections(`${at}.attn.attention`, false),
          output: linear(`${at}.attn.attention.out_proj`, true),
          rotary: null,
          scale: 1,
          window: local[i] ? window : null,
        },
        ffn: { up: { up: linear(`${at}.mlp.c_fc`, true) }, down: linear(`${at}.mlp.c_proj`, true), activation },
        order: 'sequential',
        beforeAttention: layerNorm(`${at}.ln_1`, epsilon),
        afterAttention: null,
        beforeFfn: layerNorm(`${at}.ln_2`, epsilon),
        afterFfn: null,
      })),
      lastNorm: layerNorm(`${base}.ln_f`, epsilon),
      head: readHead(fields, true),
    };
  },
};

/** Reads `attention_types`, such as `[[["global", "local"], 12]]`: a list of kinds and how often it is repeated. */
function localLayers(fields: ConfigFields, count: number): boolean[] {
  const groups = fields.list('attention_types') ?? [];
  fields.ignore('attention_layers');
  const kinds = groups.flatMap((group) => {
    const [names, times] = Array.isArray(group) ? group : [];
    return Array.isArray(names) && Number.isSafeInteger(times) ? Array.from({ length: times }, () => names).flat() : [];
  });
  if (kinds.length === count && kinds.every((kind) => kind === 'global' || kind === 'local')) {
    return kinds.map((kind) => kind === 'local');
  }
  throw fields.refuse('attention_types', `does not give "global" or "local" for each of ${count} layers`);
}
