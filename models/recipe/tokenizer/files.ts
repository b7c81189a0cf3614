/** Turns a trained vocabulary into the tokenizer files of a Hugging Face model folder. */
import type { BytePairs } from './bpe.js';

/** The special tokens have the first ids: the end of a message and of a completion, then the roles. */
export const specialTokens = ['<|end|>', '<|user|>', '<|assistant|>', '<|system|>'] as const;

/** The chat template in Jinja: each message is `<|role|>content<|end|>`, and the answer follows `<|assistant|>`. */
export const chatTemplate =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/** JSON values by file name. */
export interface TokenizerFiles {
  readonly 'tokenizer.json': object;
  readonly 'tokenizer_config.json': object;
  readonly 'special_tokens_map.json': object;
}

/**
 * Returns the tokenizer files of a vocabulary. The special tokens come first, so the size of the tokenizer is
 * `specialTokens.length` more than that of the vocabulary.
 *
 * @param maxLength the model's longest input, in tokens
 */
export function tokenizerFiles(pairs: BytePairs, maxLength: number): TokenizerFiles {
  const vocab = Object.fromEntries([...specialTokens, ...pairs.tokens].map((token, id) => [token, id]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    'tokenizer.json': {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: specialTokens.map((content, id) => ({ id, content, ...flags })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab,
        merges: pairs.merges,
      },
    },
    'tokenizer_config.json': {
      added_tokens_decoder: Object.fromEntries(specialTokens.map((content, id) => [id, { content, ...flags }])),
      additional_special_tokens: specialTokens.slice(1),
      bos_token: null,
      chat_template: chatTemplate,
      clean_up_tokenization_spaces: false,
      eos_token: specialTokens[0],
      model_max_length: maxLength,
      pad_token: specialTokens[0],
      tokenizer_class: 'PreTrainedTokenizerFast',
      unk_token: null,
    },
    'special_tokens_map.json': {
      additional_special_tokens: specialTokens.slice(1),
      eos_token: specialTokens[0],
      pad_token: specialTokens[0],
    },
  };
}
