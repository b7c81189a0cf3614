/**
 * Reads the fields of a checkpoint's `config.json`, and remembers which were read. A field that nobody read may change
 * what the model computes, so {@link ConfigFields.refuseUnread} refuses it by name.
 */

import { HoneError } from '../../errors.js';

/** Fields of every family that do not change what a decoder computes when it is served. */
const harmless = new Set([
  'architectures',
  'attn_implementation',
  'auto_map',
  'bos_token_id',
  'cache_implementation',
  'chunk_size_feed_forward',
  'dtype',
  'eos_token_id',
  'finetuning_task',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'id2label',
  'is_decoder',
  'keys_to_ignore_at_inference',
  'label2id',
  'language',
  'max_length',
  'model_type',
  'num_labels',
  'output_attentions',
  'output_hidden_states',
  'pad_token_id',
  'prefix',
  'pretraining_tp',
  'problem_type',
  'return_dict',
  'return_dict_in_generate',
  'sep_token_id',
  'task_specific_params',
  'tokenizer_class',
  'torch_dtype',
  'torchscript',
  'transformers.js_config',
  'transformers_version',
  'unk_token_id',
  'use_cache',
]);
const harmlessForms = /^_(?!remove)|^init|dropout|_pdrop$|^summary_|^unsloth_|^gradient_checkpointing|^scale_fmt$/;

/** Settings of generation, which old files hold. Requests set them. */
const ofGeneration =
  /^(do_sample|temperature|top_[kp]|typical_p|(repetition|diversity|length)_penalty|num_beam.*|early_stopping|(min|max)_(new_)?(length|tokens)|(encoder_)?no_repeat_ngram_size|bad_words_ids|suppress_tokens|begin_suppress_tokens|num_return_sequences|output_scores|remove_invalid_values|exponential_decay_length_penalty)$/;

export class ConfigFields {
  /** The file, and the place in it, for errors. */
  readonly where: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  constructor(values: Readonly<Record<string, unknown>>, where: string) {
    this.#values = values;
    this.where = where;
  }

  /** A positive whole number. Without a default, the field is required. */
  count(name: string, fallback?: number): number {
    const value = this.number(name, fallback);
    if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 31) return value;
    throw this.refuse(name, `is ${value}, not a positive whole number`);
  }

  number(name: string, fallback?: number): number {
    const value = this.optionalNumber(name) ?? fallback;
    if (value !== undefined) return value;
    throw this.refuse(name, 'is missing');
  }

  /** A number, or null if the field is null or absent. */
  optionalNumber(name: string): number | null {
    const value = this.#take(name) ?? null;
    if (value === null || (typeof value === 'number' && Number.isFinite(value))) return value;
    throw this.refuse(name, `is ${show(value)}, not a number`);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#take(name) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.refuse(name, `is ${show(value)}, not true or false`);
  }

  text(name: string, fallback?: string): string {
    const value = this.#take(name) ?? fallback;
    if (typeof value === 'string') return value;
    throw this.refuse(name, value === undefined ? 'is missing' : `is ${show(value)}, not a text`);
  }

  /** A list of numbers or texts, or null if the field is null or absent. */
  list(name: string): readonly unknown[] | null {
    const value = this.#take(name) ?? null;
    if (value === null || Array.isArray(value)) return value;
    throw this.refuse(name, `is ${show(value)}, not a list`);
  }

  /** A list of numbers. */
  numbers(name: string): readonly number[] {
    const list = this.list(name);
    if (list?.every((value): value is number => typeof value === 'number' && Number.isFinite(value))) return list;
    throw this.refuse(name, list === null ? 'is missing' : 'is not a list of numbers');
  }

  /** An object with fields of its own, or null if the field is null or absent. The caller refuses what it leaves. */
  object(name: string): ConfigFields | null {
    const value = this.#take(name) ?? null;
    if (value === null) return null;
    if (typeof value === 'object' && !Array.isArray(value)) {
      return new ConfigFields(value as Record<string, unknown>, `${this.where}: ${name}`);
    }
    throw this.refuse(name, `is ${show(value)}, not an object`);
  }

  /** Whether the field is there and not null. */
  has(name: string): boolean {
    return (this.#values[name] ?? null) !== null;
  }

  /** Accepts a field only with one of these values, or without a value. Other values are refused as not computed. */
  only(name: string, ...values: readonly (boolean | number | string)[]): void {
    const value = this.#take(name) ?? null;
    if (value === null || values.some((one) => one === value)) return;
    throw this.refuse(name, `is ${show(value)}, which Hone does not compute for this model`);
  }

  /** Accepts fields whatever they are, because they do not change what the decoder computes. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** @throws HoneError `OPERATOR_UNSUPPORTED` that names a field that nobody read and that is not empty */
  refuseUnread(): void {
    const unread = Object.keys(this.#values).find(
      (name) =>
        !this.#read.has(name) &&
        !harmless.has(name) &&
        !harmlessForms.test(name) &&
        !ofGeneration.test(name) &&
        !isEmpty(this.#values[name]),
    );
    if (unread === undefined) return;
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `${this.where}: Hone does not know the field ${unread} (${show(this.#values[unread])}), which may change what the ` +
        'model computes; if it does not, remove it from the file',
    );
  }

  /** Returns the error about a field. */
  refuse(name: string, problem: string): HoneError {
    return new HoneError(
      'OPERATOR_UNSUPPORTED',
      `${this.where}: ${name} ${problem}; correct the file, or serve another model`,
    );
  }

  #take(name: string): unknown {
    this.#read.add(name);
    return this.#values[name];
  }
}

/** Whether a value says nothing: null, or an object or a list without entries. */
function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
