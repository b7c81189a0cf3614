/**
 * Loads the tokenizer of a package from `tokenizer.json`.
 *
 * Text is always encoded without the special tokens, so that nothing a user writes becomes one. Special tokens come from
 * the chat template only.
 */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { charactersPerToken } from './characters-per-token.js';
import { ChatTemplate, checkRoles, type TemplateVariables } from './chat-template.js';
import { largestVocabulary } from './config.js';
import { findTurnEnd } from './end-tokens.js';
import { checkJson, digestFiles, fileExists, invalidPackage, readJson, readText } from './files.js';
import { SpecialTokens } from './special-tokens.js';
import { ByteDecoder, decodeTokens } from './token-decoder.js';
import type { AddedToken } from './tokens/added-tokens.js';
import { type DroppedSpaces, readDecoderSteps } from './tokens/decoder-steps.js';
import { type Model, modelSchema, readModel } from './tokens/model.js';
import { readNormalizer } from './tokens/normalizer.js';
import { readLeadingTokens } from './tokens/post-processor.js';
import { readPreTokenizer } from './tokens/pre-tokenizer.js';
import { downloadAgain, unusable, useAnotherTokenizer } from './tokens/refusal.js';
import type { TextPlace } from './tokens/text-place.js';
import { TextTokenizer } from './tokens/text-tokenizer.js';
import { readTokenizerFile, type TokenizerFile } from './tokens/tokenizer-json.js';
import type { ChatMessage, PackageTokenizer, TokenBytes, TokenDecoder } from './types.js';

const tokenId = z.int().nonnegative().lt(largestVocabulary);

export const addedTokenSchema = z.looseObject({
  id: tokenId,
  content: z.string(),
  special: z.boolean().default(false),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
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

/** The fields of `tokenizer.json`. Those of its steps are checked where they are read. */
const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  model: modelSchema,
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  post_processor: z.unknown(),
  decoder: z.unknown(),
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
  sep_token: tokenText.nullish(),
  cls_token: tokenText.nullish(),
  mask_token: tokenText.nullish(),
  extra_special_tokens: z.union([z.record(z.string(), tokenText), z.array(z.unknown())]).nullish(),
});

type TokenizerJson = z.output<typeof tokenizerSchema>;
export type TokenizerConfig = z.output<typeof tokenizerConfigSchema>;

/** The file in which newer packages keep the chat template. */
export const templateFile = 'chat_template.jinja';

/**
 * Returns the remedy for a file that does not fit: a sound tokenizer of another kind does not get better by a download.
 */
function remedyFor(value: unknown): string {
  const type = kindSchema.safeParse(value).data?.model.type ?? 'BPE';
  return type === 'BPE' ? downloadAgain : useAnotherTokenizer;
}

const kindSchema = z.object({ model: z.object({ type: z.string() }) });

/** Reads tokenizer and chat template of a package. @throws HoneError `PACKAGE_INVALID` */
export async function loadTokenizer(directory: string): Promise<PackageTokenizer> {
  const file = await readTokenizerFile(directory, largestVocabulary);
  const json = checkJson(directory, 'tokenizer.json', file.rest, tokenizerSchema, remedyFor);
  const config = await readJson(directory, 'tokenizer_config.json', tokenizerConfigSchema);
  const template = await loadTemplate(directory, config);
  const files = ['tokenizer.json', 'tokenizer_config.json'];
  if (await fileExists(directory, templateFile)) files.push(templateFile);
  const digest = await digestFiles(directory, files);
  try {
    const tokenizer = new LoadedTokenizer(file, json, config, template, digest);
    checkEncoding(tokenizer);
    return tokenizer;
  } catch (cause) {
    if (cause instanceof HoneError) throw invalidPackage(directory, 'tokenizer.json', cause.message, cause);
    throw invalidPackage(
      directory,
      'tokenizer.json',
      `cannot be used: ${reasonOf(cause)}; ${downloadAgain}, or ${useAnotherTokenizer}`,
      cause,
    );
  }
}

/** Returns the chat template of a package, or `null` if it has none. @throws HoneError `PACKAGE_INVALID` */
export async function loadTemplate(directory: string, config: TokenizerConfig): Promise<ChatTemplate | null> {
  const source = (await fileExists(directory, templateFile))
    ? { file: templateFile, text: await readText(directory, templateFile) }
    : templateSource(config);
  if (source === undefined) return null;
  const remedy = 'correct it, or remove it and send prompts';
  let template: ChatTemplate;
  try {
    template = new ChatTemplate(source.text, templateVariables(config));
  } catch (cause) {
    throw invalidPackage(
      directory,
      source.file,
      `the chat template does not parse: ${reasonOf(cause)}; ${remedy}`,
      cause,
    );
  }
  const gap = template.findGap();
  if (gap === null) return template;
  const problem = `the template engine cannot render a chat with this chat template: ${gap}; ${remedy}`;
  throw invalidPackage(directory, source.file, problem);
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

/** Those that the files name, under the names by which transformers gives them to a template. */
function templateVariables(config: TokenizerConfig): TemplateVariables {
  const names = ['bos', 'eos', 'pad', 'unk', 'sep', 'cls', 'mask'].map((name) => `${name}_token`);
  const { extra_special_tokens: extra } = config;
  const named = Object.entries(config).filter(([name, text]) => names.includes(name) && typeof text === 'string');
  const extras = extra === null || extra === undefined || Array.isArray(extra) ? {} : extra;
  return { ...(Object.fromEntries(named) as TemplateVariables), ...extras };
}

class LoadedTokenizer implements PackageTokenizer {
  readonly vocabularySize: number;
  readonly ownVocabularySize: number;
  readonly tokenBytes: TokenBytes;
  readonly digest: string;
  readonly charactersPerToken: number;
  readonly eosTokenId: number | null;
  readonly #text: TextTokenizer;
  readonly #special: SpecialTokens;
  readonly #template: ChatTemplate | null;
  readonly #addedTokens: readonly AddedToken[];
  /** Tokens that the tokenizer puts before each text, such as a beginning of the sequence. */
  readonly #textPrefix: readonly number[];
  readonly #droppedSpaces: DroppedSpaces;

  constructor(
    file: TokenizerFile,
    json: TokenizerJson,
    config: TokenizerConfig,
    template: ChatTemplate | null,
    digest: string,
  ) {
    const form = readDecoderSteps(json.decoder);
    const normalizer = readNormalizer(json.normalizer);
    const preTokenizer = readPreTokenizer(json.pre_tokenizer);
    if (form.byteLevel !== preTokenizer.byteLevel) {
      throw unusable(`decoder and pre_tokenizer do not agree whether tokens are bytes`);
    }
    const addedTokens = json.added_tokens.filter(({ special }) => !special);
    const special = json.added_tokens.filter((token) => token.special);
    const model = readModel({
      file,
      settings: json.model,
      addedTokens: json.added_tokens,
      form,
    });
    this.tokenBytes = model.table;
    this.ownVocabularySize = model.ownSize;
    this.#text = new TextTokenizer({ normalizer, preTokenizer, model: model.words, addedTokens });
    this.#special = new SpecialTokens(special);
    this.#template = template;
    this.vocabularySize = this.tokenBytes.ends.length;
    this.digest = digest;
    this.charactersPerToken = charactersPerToken(
      { normalizer, preTokenizer, addedTokens },
      this.tokenBytes,
      model.expressesAll,
    );
    this.#addedTokens = json.added_tokens;
    this.eosTokenId = endTokenOf(json, model, config);
    this.#textPrefix = readLeadingTokens(json.post_processor);
    this.#droppedSpaces = form.droppedSpaces;
  }

  findTurnEnd(endTokens: readonly number[]): number | null {
    return this.#template === null ? null : findTurnEnd(this.#template, this.#addedTokens, endTokens);
  }

  encodeText(text: string): number[] {
    return [...this.#textPrefix, ...this.#text.encode(text, 'start')];
  }

  encodeCompletion(text: string): number[] {
    return this.#text.encode(text, 'continued');
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
    return pieces.flatMap((piece, i) =>
      'token' in piece ? [piece.token] : this.#text.encode(piece.text, i === 0 ? 'start' : 'section'),
    );
  }

  decode(tokens: readonly number[], place: TextPlace = 'start'): string {
    return decodeTokens(this.tokenBytes, tokens, this.#droppedAt(place));
  }

  createDecoder(place: TextPlace = 'start'): TokenDecoder {
    return new ByteDecoder(this.tokenBytes, this.#droppedAt(place));
  }

  #droppedAt(place: TextPlace): DroppedSpaces {
    return place === 'start' ? this.#droppedSpaces : 0;
  }
}

/** Returns the id of the token that `tokenizer_config.json` names as the end. @throws HoneError if there is none */
function endTokenOf(
  { added_tokens }: TokenizerJson,
  model: Pick<Model, 'idOf'>,
  { eos_token: text }: TokenizerConfig,
): number | null {
  if (text === null || text === undefined) return null;
  const id = added_tokens.find(({ content }) => content === text)?.id ?? model.idOf(text);
  if (id !== undefined) return id;
  throw unusable(
    `has no token ${JSON.stringify(text)}, which tokenizer_config.json names as eos_token`,
    'correct that name, or take both files from the same model',
  );
}
