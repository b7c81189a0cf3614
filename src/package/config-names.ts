/**
 * The names that families give the sizes in `config.json`. Most use those of Llama; GPT-2 and its kin have names of
 * their own, and models that also read images keep the decoder's sizes in a part of the file.
 */

/** Other names of a field, in the order in which they are looked for. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  num_hidden_layers: ['n_layer', 'num_layers', 'n_layers'],
  hidden_size: ['n_embd', 'd_model'],
  num_attention_heads: ['n_head', 'num_heads', 'n_heads'],
  num_key_value_heads: ['num_kv_heads', 'n_head_kv'],
  max_position_embeddings: ['n_positions', 'n_ctx', 'max_seq_len', 'seq_length'],
};

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Returns the content of `config.json` with the sizes under the names of Llama. A field that has that name already
 * stays as it is. What is no object is returned unchanged, for the schema to refuse.
 */
export function withPlainNames(config: unknown): unknown {
  if (!isFields(config)) return config;
  const part = isFields(config.text_config) ? config.text_config : {};
  const fields: Record<string, unknown> = { ...config };
  for (const name of [...Object.keys(otherNames), 'head_dim', 'vocab_size', 'bos_token_id']) {
    const names = [name, ...(otherNames[name] ?? [])];
    const found = [config, part].flatMap((source) => names.map((one) => source[one] ?? undefined));
    const value = found.find((one) => one !== undefined);
    if (value !== undefined) fields[name] = value;
  }
  const kvHeads = falconKvHeads(config);
  if (kvHeads !== undefined) fields.num_key_value_heads = kvHeads;
  return fields;
}

/** Falcon states its number of key heads only if it has the newer decoder; the older one shares one, or has all. */
function falconKvHeads(config: Fields): unknown {
  if (config.model_type !== 'falcon' || config.new_decoder_architecture === true) return undefined;
  return config.multi_query === false ? (config.num_attention_heads ?? config.n_head) : 1;
}
