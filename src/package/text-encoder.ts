/**
 * Encodes texts for models that only read, such as reward models. Any vocabulary of the tokenizer library will do
 * (byte-level BPE, WordPiece, Unigram), because nothing is decoded. As in `tokenizer.ts`, a special token that is
 * written in a text stays text. Special tokens come from the chat template and from the frame that the tokenizer puts
 * around texts.
 */

import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import type { ChatTemplate } from './chat-template.js';
import { invalidPackage, readJson } from './files.js';
import { SpecialTokens } from './special-tokens.js';
import {
  addedTokenSchema,
  loadTemplate,
  type TokenizerConfig,
  tokenizerConfigSchema,
  vocabulary,
} from './tokenizer.js';
import type { ChatMessage } from './types.js';

/** A text as the input of a model. */
export interface EncodedText {
  readonly tokens: readonly number[];
  /** By token: 1 if it belongs to the second of two texts, 0 otherwise. */
  readonly typeIds: readonly number[];
}

export interface TextEncoder {
  /** Longest text in tokens according to the tokenizer's files; `null` if they name no limit. */
  readonly maxLength: number | null;
  /** Whether the package has a chat template. */
  readonly readsChats: boolean;
  /** Encodes a whole chat with its last answer. @throws HoneError `INVALID_REQUEST` if the template refuses it */
  encodeChat(messages: readonly ChatMessage[]): EncodedText;
  /**
   * Encodes two texts in the tokenizer's frame for pairs, such as `[CLS] first [SEP] second [SEP]`; without one, in a
   * row.
   */
  encodePair(first: string, second: string): EncodedText;
}

const schema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  model: z.looseObject({
    type: z.string(),
    vocab: z.union([vocabulary, z.array(z.tuple([z.string(), z.number()]))]),
    unk_token: z.string().nullish(),
    unk_id: z.number().nullish(),
  }),
});

const lengthSchema = z.looseObject({ model_max_length: z.number().nullish() });

type TokenizerJson = z.output<typeof schema>;

/** Tokens. A larger length in a tokenizer file means "no limit". */
const largestLength = 2 ** 24;

/** Reads tokenizer and chat template of a folder. @throws HoneError `PACKAGE_INVALID` */
export async function loadTextEncoder(directory: string): Promise<TextEncoder> {
  const json = await readJson(directory, 'tokenizer.json', schema);
  const config = await readJson(directory, 'tokenizer_config.json', tokenizerConfigSchema);
  const { model_max_length: length } = await readJson(directory, 'tokenizer_config.json', lengthSchema);
  const template = await loadTemplate(directory, config);
  try {
    const maxLength = typeof length === 'number' && length >= 1 && length <= largestLength ? length : null;
    return new FramedEncoder(json, config, template, maxLength);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw invalidPackage(
      directory,
      'tokenizer.json',
      `the tokenizer library cannot use it: ${problem}; download the file again, or use a model with another tokenizer`,
      cause,
    );
  }
}

/** The tokens that a tokenizer puts around and between two texts, and the type ids of the texts themselves. */
interface Frame {
  readonly before: EncodedText;
  readonly between: EncodedText;
  readonly after: EncodedText;
  readonly firstType: number;
  readonly secondType: number;
}

class FramedEncoder implements TextEncoder {
  readonly maxLength: number | null;
  readonly #plain: Tokenizer;
  readonly #special: SpecialTokens;
  readonly #template: ChatTemplate | null;
  readonly #frame: Frame;

  constructor(json: TokenizerJson, config: TokenizerConfig, template: ChatTemplate | null, maxLength: number | null) {
    this.#plain = new Tokenizer(withoutSpecialTokens(json), config);
    this.#special = new SpecialTokens(json.added_tokens.filter(({ special }) => special));
    this.#template = template;
    this.#frame = findFrame(new Tokenizer(json, config), this.#encode('a'), this.#encode('b'));
    this.maxLength = maxLength;
  }

  get readsChats(): boolean {
    return this.#template !== null;
  }

  encodeChat(messages: readonly ChatMessage[]): EncodedText {
    const { shielded, restore } = this.#special.shield(messages.map(({ content }) => content));
    const chat = messages.map((message, i) => ({ ...message, content: shielded[i] as string }));
    const rendered = this.#template?.render(chat, { generationPrompt: false }) ?? '';
    const tokens = this.#special
      .split(rendered)
      .flatMap((piece) => ('token' in piece ? [piece.token] : this.#encode(restore(piece.text))));
    return { tokens, typeIds: tokens.map(() => 0) };
  }

  encodePair(first: string, second: string): EncodedText {
    const { before, between, after, firstType, secondType } = this.#frame;
    const [a, b] = [this.#encode(first), this.#encode(second)];
    return {
      tokens: [...before.tokens, ...a, ...between.tokens, ...b, ...after.tokens],
      typeIds: [
        ...before.typeIds,
        ...a.map(() => firstType),
        ...between.typeIds,
        ...b.map(() => secondType),
        ...after.typeIds,
      ],
    };
  }

  #encode(text: string): number[] {
    if (text === '') return [];
    // UTF-8 cannot express half a surrogate pair; it becomes the replacement character.
    return this.#plain.encode(text.replace(/\p{Surrogate}/gu, '\uFFFD'), { add_special_tokens: false }).ids;
  }
}

/** Finds the frame by encoding a pair of one-letter texts. @throws Error if the letters are not found in the result */
function findFrame(tokenizer: Tokenizer, a: readonly number[], b: readonly number[]): Frame {
  const { ids, token_type_ids: types = [] } = tokenizer.encode('a', { text_pair: 'b', return_token_type_ids: true });
  const start = indexOfRun(ids, a, 0);
  const end = start + a.length;
  const second = start < 0 ? -1 : indexOfRun(ids, b, end);
  if (a.length === 0 || b.length === 0 || second < 0) {
    throw new Error('a sample text gives tokens that are not found again in a pair of texts');
  }
  const part = (from: number, to: number): EncodedText => ({
    tokens: ids.slice(from, to),
    typeIds: ids.slice(from, to).map((_id: number, i: number) => types[from + i] ?? 0),
  });
  return {
    before: part(0, start),
    between: part(end, second),
    after: part(second + b.length, ids.length),
    firstType: types[start] ?? 0,
    secondType: types[second] ?? 0,
  };
}

function indexOfRun(ids: readonly number[], run: readonly number[], from: number): number {
  for (let i = from; i + run.length <= ids.length; i++) if (run.every((id, k) => ids[i + k] === id)) return i;
  return -1;
}

/** Returns the tokenizer without its special tokens, except the one that stands for unknown text. */
function withoutSpecialTokens(json: TokenizerJson): TokenizerJson {
  const special = new Set(json.added_tokens.filter((token) => token.special).map(({ content }) => content));
  const { vocab, unk_token: unknown, unk_id: unknownId } = json.model;
  if (typeof unknown === 'string') special.delete(unknown);
  return {
    ...json,
    added_tokens: json.added_tokens.filter((token) => !token.special),
    model: {
      ...json.model,
      vocab: Array.isArray(vocab)
        ? // The index is the id, so a special token is replaced by a text that does not occur, and not removed.
          vocab.map(([token, score], id) => [special.has(token) && id !== unknownId ? `\u0000${id}` : token, score])
        : Object.fromEntries(Object.entries(vocab).filter(([token]) => !special.has(token))),
    },
  };
}
