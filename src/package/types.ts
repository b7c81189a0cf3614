/** What other folders see of a package: the model folder in Hugging Face / transformers.js layout. */

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
  readonly bosTokenId: number | null;
  /** A completion ends with any of these. */
  readonly eosTokenIds: readonly number[];
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/**
 * The bytes of all tokens, end to end in the order of their ids: plain data, with which another thread turns tokens into
 * text without a tokenizer of its own.
 */
export interface TokenBytes {
  readonly bytes: Uint8Array;
  /** By token id: where its bytes end. They begin where those of the id before end; a special token has none. */
  readonly ends: Uint32Array;
}

export interface PackageTokenizer {
  readonly vocabularySize: number;
  /** What every decoder of this tokenizer decodes by. */
  readonly tokenBytes: TokenBytes;
  /** The end-of-sequence token by the tokenizer's own word; the configuration may name more. `null`: it names none. */
  readonly eosTokenId: number | null;
  /**
   * Tokens of plain text: special tokens that are written in it stay text. A beginning-of-sequence token comes first
   * where the model's tokenizer puts one.
   */
  encodeText(text: string): number[];
  /** Tokens of a text that follows a prompt: as {@link encodeText}, without anything before it. */
  encodeCompletion(text: string): number[];
  /**
   * Tokens of a chat, generation prompt appended; message contents are encoded as plain text.
   * @throws HoneError `INVALID_REQUEST` for unknown roles, a chat that the template refuses, or a package without template
   */
  encodeChat(messages: readonly ChatMessage[]): number[];
  /** The whole text; special tokens are left out. */
  decode(tokens: readonly number[]): string;
  /** Incremental decoding: every prefix of the pieces concatenates to `decode` of the tokens so far, UTF-8 never cut. */
  createDecoder(): TokenDecoder;
}

export interface TokenDecoder {
  /** The text that became certain with this token; may be empty. */
  push(token: number): string;
  /** What is left at the end (an incomplete UTF-8 sequence becomes U+FFFD). */
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
