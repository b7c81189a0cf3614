/**
 * Tokens of texts for models that read and do not write: any vocabulary that the tokenizer library knows (byte-level
 * BPE, WordPiece, Unigram), since nothing has to be decoded. As in `tokenizer.ts`, nothing written in a text becomes a
 * special token: they come from the chat template and from the tokenizer's own frame around its texts.
 */

import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import type { ChatTemplate } from './chat-template.js';
import { invalidPackage, readJson } from './files.js';
import { SpecialTokens } from './special-tokens.js';
import { addedTokenSchema, loadTemplate, type TokenizerConfig, tokenizerConfigSchema } from './tokenizer.js';
import type { ChatMessage } from './types.js';

/** A text as a model reads it. */
export interface EncodedText {
  readonly tokens: readonly number[];
  /** 0, or 1 for what belongs to the second of two texts. */
  readonly typeIds: readonly number[];
}

export interface TextEncoder {
  /** Longest text in tokens by the tokenizer's own word; `null`: it names none. */
  readonly maxLength: number | null;
  /** Whether the package has a chat template. */
  readonly readsChats: boolean;
  /** A whole chat, its last answer included. @throws HoneError `INVALID_REQUEST` when the template refuses it */
  encodeChat(messages: readonly ChatMessage[]): EncodedText;
  /** Two texts in the tokenizer's frame for pairs, such as `[CLS] first [SEP] second [SEP]`; one after the other without. */
  encodePair(first: string, second: string): EncodedText;
}

const schema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  model: z.looseObject({
    type: z.string(),
    vocab: z.union([z.record(z.string(), z.number()), z.array(z.tuple([z.string(), z.number()]))]),
    unk_token: z.string().nullish(),
    unk_id: z.number().nullish(),
  }),
});

const lengthSchema = z.looseObject({ model_max_length: z.number().nullish() });

type TokenizerJson = z.output<typeof schema>;

/** Lengths beyond it stand for "no limit" in tokenizer files. */
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

/** What a tokenizer puts around and between two texts, with the type ids of each part. */
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
    // Half a surrogate pair is no text; UTF-8 has the replacement character for it.
    return this.#plain.encode(text.replace(/\p{Surrogate}/gu, '\uFFFD'), { add_special_tokens: false }).ids;
  }
}

/** The frame, seen on a pair of one-letter texts. @throws Error when it cannot be told from the texts */
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

/** The same vocabulary as if no special token were in it, but for the one that stands for the unknown. */
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
        ? // Ids are places: a special token gives its place to a text that nobody writes.
          vocab.map(([token, score], id) => [special.has(token) && id !== unknownId ? `\u0000${id}` : token, score])
        : Object.fromEntries(Object.entries(vocab).filter(([token]) => !special.has(token))),
    },
  };
}
