/** What a family of checkpoints is to Hone, and the parts that descriptors of families share. */

import { activationNames, isActivation } from '../checkpoint/activations.js';
import type { ConfigFields } from '../checkpoint/config-fields.js';
import type { DecoderPlan, FfnPlan, Linear, Norm, Rotary, SeparateProjections } from '../checkpoint/decoder-plan.js';
import { type RotarySettings, readRotary } from '../checkpoint/rotary-tables.js';

/** A descriptor: how `config.json` of some `model_type`s describes a decoder. */
export interface Family {
  readonly modelTypes: readonly string[];
  /**
   * The path of the module that holds all but the head. Files of a bare model leave it out, which is understood.
   */
  readonly base: string;
  /** Other paths by which files name that module. */
  readonly otherBases?: readonly string[];
  /** Other names of tensors outside that module. */
  readonly otherNames?: Readonly<Record<string, string>>;
  /** Matches tensors in files that the decoder does not need, such as buffers of masks. */
  readonly unused?: readonly RegExp[];
  /** The object in the file that describes the decoder; absent: the file itself. */
  readonly part?: string;
  /** Fields beside that object which do not matter to the decoder. */
  readonly beside?: readonly string[];
  /**
   * Reads the configuration. It reads or refuses every field that changes what the decoder computes.
   * @throws HoneError `OPERATOR_UNSUPPORTED` that names the field
   */
  readonly describe: (fields: ConfigFields, base: string) => DecoderPlan;
}

export type Sizes = Pick<
  DecoderPlan,
  'hiddenSize' | 'ffnSize' | 'heads' | 'kvHeads' | 'headSize' | 'vocabularySize' | 'contextLength'
> & { readonly layerCount: number };

/** Reads the sizes by the names that most families give them. `headSize`: the default of `head_dim`. */
export function readSizes(fields: ConfigFields, headSize?: number): Sizes {
  const hiddenSize = fields.count('hidden_size');
  const heads = fields.count('num_attention_heads');
  const kvHeads = fields.count('num_key_value_heads', heads);
  if (heads % kvHeads !== 0)
    throw fields.refuse('num_key_value_heads', `is ${kvHeads}, which does not divide ${heads}`);
  return {
    layerCount: fields.count('num_hidden_layers'),
    hiddenSize,
    ffnSize: fields.count('intermediate_size'),
    heads,
    kvHeads,
    headSize: fields.count('head_dim', headSize ?? wholeHeads(fields, hiddenSize, heads)),
    vocabularySize: fields.count('vocab_size'),
    contextLength: fields.count('max_position_embeddings'),
  };
}

/** The size of a head where heads share the hidden size. */
export function wholeHeads(fields: ConfigFields, hiddenSize: number, heads: number): number {
  if (fields.has('head_dim') || hiddenSize % heads === 0) return hiddenSize / heads;
  throw fields.refuse('num_attention_heads', `is ${heads}, which does not divide the hidden size ${hiddenSize}`);
}

export function readActivation(fields: ConfigFields, name: string, fallback: string): FfnPlan['activation'] {
  const activation = fields.text(name, fallback);
  if (isActivation(activation)) return activation;
  throw fields.refuse(name, `is ${activation}, but Hone computes ${activationNames.join(', ')}`);
}

/** Module paths of the layers, `model.layers.0` and so on. */
export function layerPaths(base: string, count: number, list = 'layers'): string[] {
  return Array.from({ length: count }, (_, i) => `${base}.${list}.${i}`);
}

export function linear(module: string, bias = false): Linear {
  return { module, bias };
}

/** Separate products with the names that most families give them. */
export function projections(at: string, bias: boolean): SeparateProjections {
  return {
    query: linear(`${at}.q_proj`, bias),
    key: linear(`${at}.k_proj`, bias),
    value: linear(`${at}.v_proj`, bias),
  };
}

/** `down(activation(gate(x)) * up(x))` with the names that most families give them. */
export function gatedFfn(at: string, activation: FfnPlan['activation'], bias = false): FfnPlan {
  return {
    up: { gate: linear(`${at}.gate_proj`, bias), up: linear(`${at}.up_proj`, bias) },
    down: linear(`${at}.down_proj`, bias),
    activation,
  };
}

export function rmsNorm(module: string, epsilon: number, plusOne = false): Norm {
  return { kind: 'rms', epsilon, module, plusOne };
}

export function layerNorm(module: string, epsilon: number): Norm {
  return { kind: 'mean', epsilon, module, bias: true };
}

/** Rotary positions that all layers share. */
export function rotary(
  fields: ConfigFields,
  sizes: Pick<Sizes, 'headSize' | 'contextLength'>,
  settings: Partial<RotarySettings> = {},
): Rotary {
  const { headSize, contextLength } = sizes;
  const tables = readRotary(fields, { headSize, contextLength, theta: 10_000, ...settings });
  return { name: 'rotary', tables, interleaved: false };
}

/** The head: the embedding if `tie_word_embeddings` says so. */
export function readHead(fields: ConfigFields, tiedByDefault: boolean, module = 'lm_head', bias = false) {
  const tied = fields.flag('tie_word_embeddings', tiedByDefault);
  return { module: tied ? null : module, bias };
}

/**
 * Reads `layer_types`: by layer, whether its attention has a window.
 * @param fallback for files without the field
 */
export function readWindowed(
  fields: ConfigFields,
  count: number,
  fallback: (layer: number) => boolean,
): readonly boolean[] {
  const types = fields.list('layer_types') ?? Array.from({ length: count }, (_, i) => kindOf(fallback(i)));
  if (types.length !== count) throw fields.refuse('layer_types', `has ${types.length} entries for ${count} layers`);
  return types.map((type) => {
    if (type === kindOf(true) || type === kindOf(false)) return type === kindOf(true);
    throw fields.refuse('layer_types', `has ${JSON.stringify(type)}, which Hone does not compute`);
  });
}

const kindOf = (windowed: boolean): string => (windowed ? 'sliding_attention' : 'full_attention');
