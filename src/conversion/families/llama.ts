/** Llama 1 to 3, SmolLM 1 and 2, and all others that call themselves `llama`; Mistral and Granite differ by little. */

import type { ConfigFields } from '../checkpoint/config-fields.js';
import type { DecoderPlan } from '../checkpoint/decoder-plan.js';
import {
  type Family,
  gatedFfn,
  layerPaths,
  linear,
  projections,
  readActivation,
  readHead,
  readSizes,
  rmsNorm,
  rotary,
} from './family.js';

export interface LlamaForm {
  /** Whether query, key and value have biases, and whether the output has one. */
  readonly biases: { readonly projections: boolean; readonly output: boolean; readonly ffn: boolean };
  /** Whether the head is the embedding if the file does not say. */
  readonly tied: boolean;
  /** The default of `head_dim`; absent: hidden size by heads. */
  readonly headSize?: number;
  readonly theta?: number;
}

/** Describes a decoder with RMS norms before attention and a gated ffn, whose attention sees all tokens. */
export function llamaPlan(fields: ConfigFields, base: string, form: LlamaForm): DecoderPlan {
  const sizes = readSizes(fields, form.headSize);
  const epsilon = fields.number('rms_norm_eps', 1e-6);
  const activation = readActivation(fields, 'hidden_act', 'silu');
  const turns = rotary(fields, sizes, form.theta === undefined ? {} : { theta: form.theta });
  return {
    ...sizes,
    embedding: { module: `${base}.embed_tokens` },
    layers: layerPaths(base, sizes.layerCount).map((at) => ({
      attention: {
        projections: projections(`${at}.self_attn`, form.biases.projections),
        output: linear(`${at}.self_attn.o_proj`, form.biases.output),
        rotary: turns,
        scale: sizes.headSize ** -0.5,
        window: null,
      },
      ffn: gatedFfn(`${at}.mlp`, activation, form.biases.ffn),
      order: 'sequential',
      beforeAttention: rmsNorm(`${at}.input_layernorm`, epsilon),
      afterAttention: null,
      beforeFfn: rmsNorm(`${at}.post_attention_layernorm`, epsilon),
      afterFfn: null,
    })),
    lastNorm: rmsNorm(`${base}.norm`, epsilon),
    head: readHead(fields, form.tied),
  };
}

/** Reads `attention_bias` and `mlp_bias`. */
export function statedBiases(fields: ConfigFields): LlamaForm['biases'] {
  const attention = fields.flag('attention_bias', false);
  return { projections: attention, output: attention, ffn: fields.flag('mlp_bias', false) };
}

export const llama: Family = {
  modelTypes: ['llama'],
  base: 'model',
  describe: (fields, base) => llamaPlan(fields, base, { biases: statedBiases(fields), tied: false }),
};
