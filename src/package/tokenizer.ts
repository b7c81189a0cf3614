/**
 * Loads the tokenizer of a package, a byte-level BPE in `tokenizer.json`.
 *
 * Text is always encoded by a tokenizer that does not know the special tokens, so that nothing a user writes becomes
 * one. Special tokens come from the chat template only.
 */

import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { HoneError } from '../errors.js';
import { charactersPerToken } from './characters-per-token.js';
import { ChatTemplate, checkRoles, type TemplateVariables } from './chat-template.js';
import { largestVocabulary } from './config.js';
import { type AddedToken, findTurnEnd } from './end-tokens.js';
import { digestFiles, fileExists, invalidPackage, readJson, readText } from './files.js';
import { SpecialTokens } from './special-tokens.js';
import { ByteLevelDecoder, byteAlphabet, decodeTokens, isByteLevel, packTokenBytes } from './token-decoder.js';
import type { ChatMessage, PackageTokenizer, TokenBytes, TokenDecoder } from './types.js';

const tokenId = z.int().nonnegative().lt(largestVocabulary);

export const addedTokenSchema = z.looseObject({
  id: tokenId,
  content: z.string(),
  special: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});

/** Checked in a loop, because a schema of a record takes a hundred times as long for a hundred thousand tokens. */
export const vocabulary = z
  .custom<Record<string, number>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
    error: 'must be an object of token ids',
  })
  .superRefine((tokens, context) => {
    for (const [token, id] of Object.entries(tokens)) {
      if (Number.isInteger(id) && id >= 0 && id < largestVocabulary) continue;
      const message = `must be a token id below ${largestVocabulary}`;
      context.addIssue({ code: 'custom', path: [token], message });
      return;
    }
  });

/** The fields of `tokenizer.json` that are checked here. The tokenizer library checks the rest. */
const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  model: z.looseObject({ type: z.literal('BPE'), vocab: vocabulary }),
});

/** Files write a special token as its text or as an object that holds the text. */
const tokenText = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)], {
  error: 'must be the text of a token, or an object with it as "content"',
});

export const tokenizerConfigSchema = z.looseObject({
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
  bos_token: tokenText.nullish(),
  eos_token: tokenText.nullish(),
  pad_token: tokenText.nullish(),
  unk_token: tokenText.nullish(),
});

type TokenizerJson = z.output<typeof tokenizerSchema>;
export type TokenizerConfig = z.output<typeof tokenizerConfigSchema>;

/** The file in which newer packages keep the chat template. */
export const templateFile = 'chat_template.jinja';

const useAnotherTokenizer = 'serve a model with a byte-level BPE tokenizer, as Llama 3, Qwen and SmolLM have';
const downloadAgain = 'download the file again';

/**
 * Returns the remedy for a file that does not fit: a sound tokenizer of another kind does not get better by a download.
 */
function remedyFor(value: unknown): string {
  const type = kindSchema.safeParse(value).data?.model.type ?? 'BPE';
  return type === 'BPE' ? downloadAgain : `Hone reads byte-level BPE only: ${useAnotherTokenizer}`;
}

const kindSchema = z.object({ model: z.object({ type: z.string() }) });

/** Reads tokenizer and chat template of a package. @throws HoneError `PACKAGE_INVALID` */
export async function loadTokenizer(directory: string): Promise<PackageTokenizer> {
  const json = await readJson(directory, 'tokenizer.json', tokenizerSchema, remedyFor);
  const config = await readJson(directory, 'tokenizer_config.json', tokenizerConfigSchema);
  const template = await loadTemplate(directory, config);
  const files = ['tokenizer.json', 'tokenizer_config.json'];
  if (await fileExists(directory, templateFile)) files.push(templateFile);
  const digest = await digestFiles(directory, files);
  try {
    const tokenizer = new ByteLevelTokenizer(json, config, template, digest);
    checkEncoding(tokenizer);
    return tokenizer;
  } catch (cause) {
    if (cause instanceof HoneError) throw invalidPackage(directory, 'tokenizer.json', cause.message, cause);
    throw invalidPackage(
      directory,
      'tokenizer.json',
      `the tokenizer library cannot use it: ${reasonOf(cause)}; ${downloadAgain}, or ${useAnotherTokenizer}`,
      cause,
    );
  }
}

/** Returns an error with problem and remedy. {@link loadTokenizer} adds the file. */
function unusable(problem: string, remedy: string): HoneError {
  return new HoneError('PACKAGE_INVALID', `${problem}; ${remedy}`);
}

/** Returns the chat template of a package, or `null` if it has none. @throws HoneError `PACKAGE_INVALID` */
export async function loadTemplate(directory: string, config: TokenizerConfig): Promise<ChatTemplate | null> {
  const source = (await fileExists(directory, templateFile))
    ? { file: templateFile, text: await readText(directory, templateFile) }
    : templateSource(config);
  if (source === undefined) return null;
  try {
    return new ChatTemplate(source.text, templateVariables(config));
  } catch (cause) {
    throw invalidPackage(
      directory,
      source.file,
      `the chat template does not parse: ${reasonOf(cause)}; correct it, or remove it and send prompts`,
      cause,
    );
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Encodes a sample text at start, because the library looks at some parts of a tokenizer only when it encodes. */
function checkEncoding(tokenizer: PackageTokenizer): void {
  const sample = 'Hello, World! 12 times\n\tçé 日本 👋';
  const tokens = tokenizer.encodeText(sample);
  const strange = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= tokenizer.vocabularySize);
  if (tokens.length === 0 || strange !== undefined) {
    const given = tokens.length === 0 ? 'no token' : `the token ${strange}, which its vocabulary does not have`;
    throw unusable(`encoding a sample text gives ${given}`, downloadAgain);
  }
  tokenizer.decode(tokens);
}

function templateSource({ chat_template: template }: TokenizerConfig): { file: string; text: string } | undefined {
  const named = typeof template === 'string' ? [{ name: 'default', template }] : (template ?? []);
  const chosen = named.find(({ name }) => name === 'default') ?? named[0];
  return chosen === undefined ? undefined : { file: 'tokenizer_config.json', text: chosen.template };
}

function templateVariables(config: TokenizerConfig): TemplateVariables {
  const names = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;
  return Object.fromEntries(names.map((name) => [name, config[name] ?? '']));
}

class ByteLevelTokenizer implements PackageTokenizer {
  readonly vocabularySize: number;
  readonly tokenBytes: TokenBytes;
  readonly digest: string;
  readonly charactersPerToken: number;
  readonly eosTokenId: number | null;
  readonly #plain: Tokenizer;
  readonly #special: SpecialTokens;
  readonly #template: ChatTemplate | null;
  readonly #addedTokens: readonly AddedToken[];
  /** The beginning-of-sequence token, if the tokenizer puts one before each text. */
  readonly #textPrefix: readonly number[];

  constructor(json: TokenizerJson, config: TokenizerConfig, template: ChatTemplate | null, digest: string) {
    this.#plain = new Tokenizer(withoutSpecialTokens(json), config);
    this.#special = new SpecialTokens(json.added_tokens.filter(({ special }) => special));
    this.#template = template;
    this.tokenBytes = tokenBytes(json);
    this.vocabularySize = this.tokenBytes.ends.length;
    this.digest = digest;
    const hasAllBytes = byteAlphabet.every((character) => Object.hasOwn(json.model.vocab, character));
    this.charactersPerToken = charactersPerToken(json, this.tokenBytes, hasAllBytes);
    this.#addedTokens = json.added_tokens;
    this.eosTokenId = endTokenOf(json, config);
    this.#textPrefix = leadingTokens(json, config);
  }

  findTurnEnd(endTokens: readonly number[]): number | null {
    return this.#template === null ? null : findTurnEnd(this.#template, this.#addedTokens, endTokens);
  }

  encodeText(text: string): number[] {
    return [...this.#textPrefix, ...this.#encodePlain(text)];
  }

  encodeCompletion(text: string): number[] {
    return this.#encodePlain(text);
  }

  encodeChat(messages: readonly ChatMessage[], maxTokens = Number.POSITIVE_INFINITY): number[] {
    checkRoles(messages);
    if (this.#template === null) {
      throw new HoneError('INVALID_REQUEST', 'the package has no chat template; send a prompt instead of messages', {
        violations: [{ field: 'messages', description: 'the package has no chat template; send a prompt' }],
      });
    }
    const { shielded, restore } = this.#special.shield(messages.map(({ content }) => content));
    const rendered = this.#template.render(
      messages.map((message, i) => ({ ...message, content: shielded[i] as string })),
    );
    const pieces = this.#special
      .split(rendered)
      .map((piece) => ('token' in piece ? piece : { text: restore(piece.text) }));
    const characters = pieces.reduce((sum, piece) => sum + ('token' in piece ? 0 : piece.text.length), 0);
    if (characters > maxTokens * this.charactersPerToken) {
      const description = `${characters} characters are too many for a context of ${maxTokens} tokens`;
      throw new HoneError('PROMPT_TOO_LONG', `the prompt is too long: ${description}; shorten it`, {
        violations: [{ field: 'messages', description }],
      });
    }
    return pieces.flatMap((piece) => ('token' in piece ? [piece.token] : this.#encodePlain(piece.text)));
  }

  decode(tokens: readonly number[]): string {
    return decodeTokens(this.tokenBytes, tokens);
  }

  createDecoder(): TokenDecoder {
    return new ByteLevelDecoder(this.tokenBytes);
  }

  #encodePlain(text: string): number[] {
    // UTF-8 cannot express half a surrogate pair; it becomes the replacement character.
    return text === ''
      ? []
      : this.#plain.encode(text.replace(/\p{Surrogate}/gu, '\uFFFD'), { add_special_tokens: false }).ids;
  }
}

/** Returns the id of the token that `tokenizer_config.json` names as the end. @throws HoneError if there is none */
function endTokenOf({ added_tokens, model }: TokenizerJson, { eos_token: text }: TokenizerConfig): number | null {
  if (text === null || text === undefined) return null;
  const id = added_tokens.find(({ content }) => content === text)?.id;
  if (id !== undefined) return id;
  if (Object.hasOwn(model.vocab, text)) return model.vocab[text] as number;
  throw unusable(
    `has no token ${JSON.stringify(text)}, which tokenizer_config.json names as eos_token`,
    'correct that name, or take both files from the same model',
  );
}

/** Returns the tokenizer without its special tokens. */
function withoutSpecialTokens(json: TokenizerJson): TokenizerJson {
  const special = json.added_tokens.filter((token) => token.special).map(({ content }) => content);
  let { vocab } = json.model;
  // Most vocabularies list them elsewhere, and copying a hundred thousand tokens is slow.
  if (special.some((token) => Object.hasOwn(vocab, token))) {
    vocab = { ...vocab };
    for (const token of special) delete vocab[token];
  }
  return {
    ...json,
    added_tokens: json.added_tokens.filter((token) => !token.special),
    model: { ...json.model, vocab },
  };
}

/** Returns the bytes of each token. @throws HoneError if the vocabulary is not byte-level */
function tokenBytes({ model, added_tokens }: TokenizerJson): TokenBytes {
  const tokens: (string | Uint8Array | undefined)[] = [];
  const added = new Set(added_tokens.map(({ id }) => id));
  for (const [token, id] of Object.entries(model.vocab)) {
    if (added.has(id)) continue;
    if (!isByteLevel(token)) {
      throw unusable(
        `token ${id} (${JSON.stringify(token)}) is not byte-level, but Hone reads byte-level BPE only`,
        useAnotherTokenizer,
      );
    }
    if (tokens[id] !== undefined) throw unusable(`two tokens have the id ${id}`, downloadAgain);
    tokens[id] = token;
  }
  const utf8 = new TextEncoder();
  for (const { id, content, special } of added_tokens) tokens[id] = special ? undefined : utf8.encode(content);
  return packTokenBytes(tokens);
}

function leadingTokens(json: TokenizerJson, config: TokenizerConfig): readonly number[] {
  const bos = json.added_tokens.find(({ content }) => content === config.bos_token);
  if (bos === undefined) return [];
  // The prefix depends on neither vocabulary nor merges, so a tokenizer without them is enough, and much faster to
  // build.
  const letters = byteAlphabet.filter((character) => Object.hasOwn(json.model.vocab, character));
  const vocab = Object.fromEntries(letters.map((character) => [character, json.model.vocab[character] as number]));
  const bare = { ...json, model: { ...json.model, vocab, merges: [] } };
  const first = new Tokenizer(bare, config).encode('a', { add_special_tokens: true }).ids[0];
  return first === bos.id ? [bos.id] : [];
}
