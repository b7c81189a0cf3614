/** Gemma 1 to 3: norms by w + 1, an embedding that is multiplied by the root of its width, a tied head. */

import type { ConfigFields } from '../checkpoint/config-fields.js';
import type { DecoderPlan, LayerPlan, Rotary } from '../checkpoint/decoder-plan.js';
import { rotaryTables } from '../checkpoint/rotary-tables.js';
import {
  type Family,
  gatedFfn,
  layerPaths,
  linear,
  projections,
  readActivation,
  readHead,
  readSizes,
  readWindowed,
  rmsNorm,
  rotary,
  type Sizes,
} from './family.js';

const tanhGelu = 'gelu_pytorch_tanh';

/** The layers with norms around attention and ffn, and what the generations share besides. */
function gemmaPlan(
  fields: ConfigFields,
  base: string,
  sizes: Sizes,
  attentionOf: (
    at: string,
    layer: number,
  ) => Pick<LayerPlan['attention'], 'rotary' | 'window'> & Partial<LayerPlan['attention']>,
  { norms, activation }: { norms: 2 | 4; activation: LayerPlan['ffn']['activation'] },
): DecoderPlan {
  const epsilon = fields.number('rms_norm_eps', 1e-6);
  const bias = fields.flag('attention_bias', false);
  const norm = (module: string) => rmsNorm(module, epsilon, true);
  // Prefix-LM attention, which EmbeddingGemma has.
  fields.only('use_bidirectional_attention', false);
  return {
    ...sizes,
    embedding: { module: `${base}.embed_tokens`, scale: Math.sqrt(sizes.hiddenSize) },
    layers: layerPaths(base, sizes.layerCount).map((at, i) => ({
      attention: {
        projections: projections(`${at}.self_attn`, bias),
        output: linear(`${at}.self_attn.o_proj`, bias),
        scale: sizes.headSize ** -0.5,
        ...attentionOf(at, i),
      },
      ffn: gatedFfn(`${at}.mlp`, activation),
      order: 'sequential',
      beforeAttention: norm(`${at}.input_layernorm`),
      afterAttention: norms === 4 ? norm(`${at}.post_attention_layernorm`) : null,
      beforeFfn: norm(norms === 4 ? `${at}.pre_feedforward_layernorm` : `${at}.post_attention_layernorm`),
      afterFfn: norms === 4 ? norm(`${at}.post_feedforward_layernorm`) : null,
    })),
    lastNorm: norm(`${base}.norm`),
    head: readHead(fields, true),
  };
}

export const gemma: Family = {
  modelTypes: ['gemma'],
  base: 'model',
  describe: (fields, base) => {
    const sizes = readSizes(fields, 256);
    const turns = rotary(fields, sizes);
    // Versions of transformers disagree about files in which the older field names another activation.
    const activation = readActivation(fields, 'hidden_activation', fields.text('hidden_act', tanhGelu));
    if (fields.has('hidden_act')) fields.only('hidden_act', activation);
    return gemmaPlan(fields, base, sizes, () => ({ rotary: turns, window: null }), { norms: 2, activation });
  },
};

export const gemma2: Family = {
  modelTypes: ['gemma2'],
  base: 'model',
  describe: (fields, base) => {
    const sizes = readSizes(fields, 256);
    const turns = rotary(fields, sizes);
    const window = fields.number('sliding_window', 4096);
    const windowed = readWindowed(fields, sizes.layerCount, (i) => i % 2 === 0);
    const softcap = fields.has('attn_logit_softcapping') ? fields.number('attn_logit_softcapping') : null;
    fields.ignore('attn_logit_softcapping', 'hidden_act');
    const scale = fields.number('query_pre_attn_scalar', 256) ** -0.5;
    const activation = readActivation(fields, 'hidden_activation', tanhGelu);
    const plan = gemmaPlan(
      fields,
      base,
      sizes,
      (_, i) => ({ rotary: turns, window: windowed[i] ? window : null, softcap, scale }),
      { norms: 4, activation },
    );
    return { ...plan, head: { ...plan.head, softcap: fields.optionalNumber('final_logit_softcapping') } };
  },
};

function gemma3Plan(fields: ConfigFields, base: string): DecoderPlan {
  // The files of the first models leave out what equals the defaults of transformers.
  const sizes: Sizes = {
    layerCount: fields.count('num_hidden_layers', 26),
    hiddenSize: fields.count('hidden_size', 2304),
    ffnSize: fields.count('intermediate_size', 9216),
    heads: fields.count('num_attention_heads', 8),
    kvHeads: fields.count('num_key_value_heads', 4),
    headSize: fields.count('head_dim', 256),
    vocabularySize: fields.count('vocab_size', 262_208),
    contextLength: fields.count('max_position_embeddings', 131_072),
  };
  const window = fields.number('sliding_window', 4096);
  const older = fields.optionalNumber('_sliding_window_pattern') ?? 6;
  const pattern = fields.optionalNumber('sliding_window_pattern') ?? older;
  const windowed = readWindowed(fields, sizes.layerCount, (i) => (i + 1) % pattern !== 0);
  const turns = gemma3Rotary(fields, sizes);
  const softcap = fields.optionalNumber('attn_logit_softcapping');
  const scale = fields.number('query_pre_attn_scalar', 256) ** -0.5;
  const epsilon = fields.number('rms_norm_eps', 1e-6);
  const activation = readActivation(fields, 'hidden_activation', tanhGelu);
  const plan = gemmaPlan(
    fields,
    base,
    sizes,
    (at, i) => ({
      rotary: windowed[i] ? turns.windowed : turns.full,
      window: windowed[i] ? window : null,
      softcap,
      scale,
      queryKeyNorm: {
        over: 'head',
        query: rmsNorm(`${at}.self_attn.q_norm`, epsilon, true),
        key: rmsNorm(`${at}.self_attn.k_norm`, epsilon, true),
      },
    }),
    { norms: 4, activation },
  );
  return { ...plan, head: { ...plan.head, softcap: fields.optionalNumber('final_logit_softcapping') } };
}

/** Layers with a window have a base of their own, and no scaling. */
function gemma3Rotary(fields: ConfigFields, sizes: Sizes): { full: Rotary; windowed: Rotary } {
  const kinds = fields.object('rope_parameters');
  const scaling = fields.object('rope_scaling');
  const theta = fields.number('rope_theta', 1_000_000);
  const localTheta = fields.number('rope_local_base_freq', 10_000);
  const [full, windowed] = ['full_attention', 'sliding_attention'].map((kind) => kinds?.object(kind) ?? null);
  kinds?.refuseUnread();
  const fullTheta = full?.optionalNumber('rope_theta') ?? theta;
  const windowedTheta = windowed?.optionalNumber('rope_theta') ?? localTheta;
  return {
    full: {
      name: 'rotary',
      tables: rotaryTables(fields, full ?? scaling, fullTheta, 1, sizes),
      interleaved: false,
    },
    windowed: {
      name: 'rotary_local',
      tables: rotaryTables(fields, windowed ?? null, windowedTheta, 1, sizes),
      interleaved: false,
    },
  };
}

export const gemma3Text: Family = { modelTypes: ['gemma3_text'], base: 'model', describe: gemma3Plan };

/** Gemma 3 that also reads images: its decoder. */
export const gemma3: Family = {
  modelTypes: ['gemma3'],
  base: 'model.language_model',
  otherBases: ['language_model.model', 'model'],
  unused: [/(^|\.)vision_tower\./, /(^|\.)multi_modal_projector\./],
  part: 'text_config',
  beside: [
    'vision_config',
    'mm_tokens_per_image',
    'boi_token_index',
    'eoi_token_index',
    'image_token_index',
    'image_token_id',
    'boi_token_id',
    'eoi_token_id',
    'tie_word_embeddings',
  ],
  describe: gemma3Plan,
};
