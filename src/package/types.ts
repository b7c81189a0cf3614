/** Types of a package, which is a model folder in Hugging Face / transformers.js layout. */

import type { TextPlace } from './tokens/text-place.js';

export interface DecoderConfig {
  readonly modelType: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** Longest sequence (prompt and completion together), in tokens. */
  readonly contextLength: number;
  /** By layer the keys that a token sees, `null` for all of them; `null` if `config.json` does not tell. */
  readonly windows: readonly (number | null)[] | null;
  readonly bosTokenId: number | null;
  /** A completion ends with any of these. At least one. */
  readonly eosTokenIds: readonly number[];
  /** Ends an answer to a chat: what ends a turn in the chat template, or else {@link textEndTokenId}. */
  readonly turnEndTokenId: number;
  /** Ends a text behind a plain prompt: the tokenizer's end token, or else the first of the configuration. */
  readonly textEndTokenId: number;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/**
 * The bytes of all tokens, end to end in the order of their ids. This is plain data, so that another thread can turn
 * tokens into text without a tokenizer of its own.
 */
export interface TokenBytes {
  readonly bytes: Uint8Array;
  /** By token id: the end of its bytes, which start at the end of the id before. A special token has no bytes. */
  readonly ends: Uint32Array;
}

export interface PackageTokenizer {
  /** All tokens have ids below it. */
  readonly vocabularySize: number;
  /**
   * The tokens that are not added ones have ids below it. A decoder may know fewer added tokens than the tokenizer lists:
   * it never writes the others, and texts that hold them are refused.
   */
  readonly ownVocabularySize: number;
  /** The table that all decoders of this tokenizer use. */
  readonly tokenBytes: TokenBytes;
  /** SHA-256 (hex) over the files that it was made of. */
  readonly digest: string;
  /** Most UTF-16 units of a text that one token stands for. A longer text need not be encoded to be too long. */
  readonly charactersPerToken: number;
  /** The end token in the tokenizer's files, or `null`. The configuration may name others. */
  readonly eosTokenId: number | null;
  /**
   * Returns the token that the chat template writes behind an answer; `null` without a template, or if it writes none.
   * @param endTokens of the package's files
   */
  findTurnEnd(endTokens: readonly number[]): number | null;
  /**
   * Encodes plain text; special tokens that are written in it stay text. The result starts with a beginning-of-sequence
   * token if the model's tokenizer puts one there.
   */
  encodeText(text: string): number[];
  /**
   * Encodes a text that follows a prompt. It gets neither a beginning-of-sequence token nor the space that some tokenizers
   * put before a text, so that its tokens decode to the text itself.
   */
  encodeCompletion(text: string): number[];
  /**
   * Encodes a chat with the generation prompt at its end; message contents are encoded as plain text.
   * @param maxTokens a rendered chat that is longer for sure is refused before it is encoded; default: without bound
   * @throws HoneError `INVALID_REQUEST` if a role is unknown, the template refuses the chat, or the package has no
   * template; `PROMPT_TOO_LONG`
   */
  encodeChat(messages: readonly ChatMessage[], maxTokens?: number): number[];
  /**
   * Returns the text of the tokens without special tokens.
   * @param place default: `start`, of a whole text. A completion is `continued`: it keeps all of its spaces
   */
  decode(tokens: readonly number[], place?: TextPlace): string;
  /** Returns a decoder for one token at a time. Its pieces add up to {@link decode} and never cut a UTF-8 sequence. */
  createDecoder(place?: TextPlace): TokenDecoder;
}

export interface TokenDecoder {
  /** Returns the text that this token completes; may be empty. */
  push(token: number): string;
  /** Returns the rest at the end: an incomplete UTF-8 sequence becomes U+FFFD. */
  flush(): string;
}

export interface Package {
  readonly directory: string;
  /** SHA-256 (hex) over configuration, tokenizer and weights. */
  readonly digest: string;
  readonly name: string;
  readonly config: DecoderConfig;
  readonly tokenizer: PackageTokenizer;
  /** Path of `onnx/model.onnx`. */
  readonly modelPath: string;
}
