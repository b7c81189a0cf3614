/**
 * Reads PEFT's `adapter_config.json`. It refuses every setting under which the adapter would compute something other than
 * `x W + scale * (x A) B` with the base's own W.
 */

import { HoneError } from '../errors.js';

/** The part of a LoRA configuration that Hone uses. */
export interface LoraConfig {
  readonly rank: number;
  /** `lora_alpha`; the scale is `lora_alpha / r`. */
  readonly alpha: number;
  /** Whether the configuration names the layer with this module path; `null` if it selects layers in another way. */
  readonly isTarget: ((module: string) => boolean) | null;
}

/** Initializations of A and B that leave the base's weights unchanged. Others (PiSSA, OLoRA and more) change them. */
const plainInitializations = new Set<unknown>([true, false, null, undefined, 'gaussian', 'eva', 'orthogonal']);

/** Settings that must be absent or empty, with their meaning. */
const unsupported: Readonly<Record<string, string>> = {
  modules_to_save: 'whole layers beside the adapter',
  rank_pattern: 'a rank of its own for some layers',
  alpha_pattern: 'a scale of its own for some layers',
  target_parameters: 'adapters of parameters that are not linear layers',
  trainable_token_indices: 'trained rows of the embedding',
  layer_replication: 'layers that are used twice',
  alora_invocation_tokens: 'an adapter that begins at certain tokens (aLoRA)',
  lora_bias: 'a bias in B',
};

/** Settings `use_...` and `..._config` usually change the computation. These describe only how the adapter was trained. */
const harmless = new Set([
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'loftq_config',
  'megatron_config',
  'runtime_config',
]);

/** Settings that select layers in another way than by the names in `target_modules`. */
const pickers = ['exclude_modules', 'layers_to_transform', 'layers_pattern'];

/**
 * Reads `adapter_config.json`.
 * @throws HoneError `ADAPTER_INVALID` with the name of the setting that is not supported
 */
export function readLoraConfig(value: unknown): LoraConfig {
  const config = Object(value) as Readonly<Record<string, unknown>>;
  const { peft_type: type, r: rank, lora_alpha: alpha, bias, init_lora_weights: initialization } = config;
  if (type !== 'LORA') throw invalid(`its peft_type is ${String(type)}; only LORA is supported`);
  for (const [name, set] of Object.entries(config)) {
    const special = name.startsWith('use_') || (name.endsWith('_config') && !harmless.has(name));
    if (special && !isEmpty(set)) throw invalid(`${name} is set; only plain LoRA is supported`);
  }
  if (bias !== undefined && bias !== null && bias !== 'none') {
    throw invalid(`bias is ${JSON.stringify(bias)}; only "none" is supported`);
  }
  for (const [name, meaning] of Object.entries(unsupported)) {
    if (!isEmpty(config[name])) throw invalid(`${name} is set (${meaning}), which is not supported`);
  }
  if (!plainInitializations.has(initialization)) {
    throw invalid(
      `init_lora_weights is ${JSON.stringify(initialization)}, which changes the base's weights too; ` +
        'save it with path_initial_model_for_weight_conversion, which turns it into a plain adapter',
    );
  }
  if (typeof rank !== 'number' || typeof alpha !== 'number') throw invalid('r or lora_alpha is not a number');
  return { rank, alpha, isTarget: readTargets(config) };
}

/** A name matches as in PEFT: it is the whole module path, or the end of it after a dot. Patterns are not evaluated. */
function readTargets(config: Readonly<Record<string, unknown>>): LoraConfig['isTarget'] {
  const { target_modules: targets } = config;
  if (!Array.isArray(targets) || pickers.some((name) => !isEmpty(config[name]))) return null;
  const names = targets.filter((name) => typeof name === 'string');
  return (module) => names.some((name) => module === name || module.endsWith(`.${name}`));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function invalid(reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `Hone cannot read this adapter: ${reason}`);
}
