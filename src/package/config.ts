/** Schemas of `config.json` and `generation_config.json`, and the decoder's configuration that is made from both. */

import { z } from 'zod';
import { withPlainNames } from './config-names.js';
import type { EndTokens, NamedEndTokens } from './end-tokens.js';
import type { DecoderConfig } from './types.js';
import { configuredWindows } from './windows.js';

/** Upper bound of `vocab_size`: every token id is below it. */
export const largestVocabulary = 2 ** 24;

const tokenId = z.int().nonnegative();
const tokenIds = z.union([tokenId.transform((id) => [id]), z.array(tokenId)], {
  error: 'must be the id of a token, a whole number of at least 0, or a list of ids',
});
/** A larger size can only come from a damaged file, and Hone would try to allocate memory for it. */
const upTo = (most: number) => z.int().positive().max(most);

/** The fields of `config.json` that Hone reads, by the names of Llama. It ignores all others. */
const plainConfigSchema = z
  .object({
    model_type: z.string().min(1),
    num_hidden_layers: upTo(10_000),
    hidden_size: upTo(2 ** 20),
    num_attention_heads: upTo(2 ** 20),
    num_key_value_heads: upTo(2 ** 20).nullish(),
    head_dim: upTo(2 ** 20).nullish(),
    vocab_size: upTo(largestVocabulary),
    max_position_embeddings: upTo(2 ** 31 - 1),
    // Only a check of some files reads the next three. They may have any form elsewhere.
    sliding_window: z.int().positive().nullish().catch(null),
    use_sliding_window: z.boolean().nullish().catch(true),
    layer_types: z.array(z.string()).nullish().catch([]),
    bos_token_id: tokenIds.nullish(),
    eos_token_id: tokenIds.nullish(),
    /** The decoder's part in the configuration of a model that also reads images or sounds. */
    text_config: z.object({ eos_token_id: tokenIds.nullish() }).nullish(),
  })
  .refine(({ num_attention_heads: heads, num_key_value_heads: kvHeads }) => heads % (kvHeads ?? heads) === 0, {
    path: ['num_key_value_heads'],
    error: 'must divide num_attention_heads',
  });

/** The fields of `config.json` of any family: see {@link withPlainNames}. */
export const configSchema = z.preprocess(withPlainNames, plainConfigSchema);

/** The fields of `generation_config.json` that Hone reads. Its end tokens are added to those of `config.json`. */
export const generationConfigSchema = z.object({
  bos_token_id: tokenIds.nullish(),
  eos_token_id: tokenIds.nullish(),
});

type Config = z.output<typeof configSchema>;
type GenerationConfig = z.output<typeof generationConfigSchema>;

/** Returns the end tokens that both files name. */
export function namedEndTokens(config: Config, generation: GenerationConfig): NamedEndTokens[] {
  const named = (file: string, field: string, ids: readonly number[] | null | undefined) => ({
    file,
    field,
    ids: ids ?? [],
  });
  return [
    named('generation_config.json', 'eos_token_id', generation.eos_token_id),
    named('config.json', 'eos_token_id', config.eos_token_id),
    named('config.json', 'text_config.eos_token_id', config.text_config?.eos_token_id),
  ];
}

/** Returns the decoder's configuration. Absent fields get the defaults of `transformers`. */
export function decoderConfig(config: Config, generation: GenerationConfig, ends: EndTokens): DecoderConfig {
  const heads = config.num_attention_heads;
  return {
    modelType: config.model_type,
    layers: config.num_hidden_layers,
    hiddenSize: config.hidden_size,
    heads,
    kvHeads: config.num_key_value_heads ?? heads,
    headSize: config.head_dim ?? Math.floor(config.hidden_size / heads),
    vocabularySize: config.vocab_size,
    contextLength: config.max_position_embeddings,
    windows: configuredWindows(config),
    bosTokenId: (generation.bos_token_id ?? config.bos_token_id)?.[0] ?? null,
    ...ends,
  };
}
