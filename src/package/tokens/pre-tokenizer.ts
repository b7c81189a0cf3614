/**
 * Reads the `pre_tokenizer` of `tokenizer.json`: how a text is cut into the words that the model then cuts into tokens.
 * No token reaches over two words.
 */

import { z } from 'zod';
import { byteAlphabet } from './byte-alphabet.js';
import { metaspaceSchema } from './decoder-steps.js';
import { libraryPattern } from './library-pattern.js';
import { unknownStep } from './refusal.js';
import type { PlacedText } from './text-place.js';

export interface PreTokenizer {
  split(words: readonly PlacedText[]): readonly PlacedText[];
  /** Whether it writes bytes in GPT-2's alphabet. */
  readonly byteLevel: boolean;
  /** Whether all of a text is still in the words. */
  readonly keepsTexts: boolean;
}

const behaviors = ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
type Behavior = (typeof behaviors)[number];

const stepSchema = z.looseObject({ type: z.string() });
const sequence = z.looseObject({ pretokenizers: z.array(z.unknown()) });
const byteLevel = z.looseObject({ add_prefix_space: z.boolean().default(true), use_regex: z.boolean().default(true) });
const digits = z.looseObject({ individual_digits: z.boolean().default(false) });
const punctuation = z.looseObject({ behavior: z.enum(behaviors).default('Isolated') });
const split = z.looseObject({
  pattern: z.union([z.strictObject({ String: z.string().min(1) }), z.strictObject({ Regex: z.string() })]),
  behavior: z.enum(behaviors),
  invert: z.boolean().default(false),
});

/** @throws HoneError `PACKAGE_INVALID` that names a step that is not known */
export function readPreTokenizer(json: unknown): PreTokenizer {
  if (json === null || json === undefined) return { split: (words) => words, byteLevel: false, keepsTexts: true };
  const type = stepSchema.safeParse(json).data?.type ?? 'a step without a type';
  const read = readers[type];
  if (read === undefined) throw unknownStep('pre_tokenizer', type);
  return read(json);
}

/** By type. */
const readers: Readonly<Record<string, (json: unknown) => PreTokenizer>> = {
  Sequence: (json) => inSequence(settings(sequence, json).pretokenizers.map(readPreTokenizer)),
  Split: (json) => splitting(settings(split, json)),
  ByteLevel: (json) => toBytes(settings(byteLevel, json)),
  Metaspace: (json) => toMetaspace(settings(metaspaceSchema, json)),
  Digits: (json) => cutting(settings(digits, json).individual_digits ? /\p{N}/gu : /\p{N}+/gu, 'Isolated'),
  Punctuation: (json) => cutting(/[!-/:-@[-`{-~]|\p{P}/gu, settings(punctuation, json).behavior),
  WhitespaceSplit: () => cutting(/\p{White_Space}/gu, 'Removed'),
};

function settings<Schema extends z.ZodType>(schema: Schema, json: unknown): z.output<Schema> {
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw unknownStep('pre_tokenizer', `${(json as { type: string }).type} with unknown settings`);
}

function inSequence(steps: readonly PreTokenizer[]): PreTokenizer {
  return {
    split: (words) => steps.reduce((cut, step) => step.split(cut), words),
    byteLevel: steps.some((step) => step.byteLevel),
    keepsTexts: steps.every(({ keepsTexts }) => keepsTexts),
  };
}

/** The words of GPT-2. */
const gptWords =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function toBytes({ add_prefix_space, use_regex }: z.output<typeof byteLevel>): PreTokenizer {
  const words = use_regex ? cutting(gptWords, 'Isolated') : undefined;
  const prefixed = ({ text, place }: PlacedText): PlacedText =>
    add_prefix_space && place !== 'continued' && !text.startsWith(' ') ? { text: ` ${text}`, place } : { text, place };
  return {
    split: (given) => {
      const prepared = given.map(prefixed);
      return (words?.split(prepared) ?? prepared).map(({ text, place }) => ({ text: inByteAlphabet(text), place }));
    },
    byteLevel: true,
    keepsTexts: true,
  };
}

function inByteAlphabet(text: string): string {
  let written = '';
  for (const byte of Buffer.from(text, 'utf8')) written += byteAlphabet[byte];
  return written;
}

function toMetaspace({ replacement, scheme, split: isSplit }: z.output<typeof metaspaceSchema>): PreTokenizer {
  const cut = cutting(replacement, 'MergedWithNext');
  const marked = ({ text, place }: PlacedText): PlacedText => {
    const replaced = text.replaceAll(' ', replacement);
    const asks = scheme === 'always' ? place !== 'continued' : scheme === 'first' && place === 'start';
    return { text: asks && !replaced.startsWith(replacement) ? replacement + replaced : replaced, place };
  };
  return {
    split: (words) => (isSplit ? cut.split(words.map(marked)) : words.map(marked)),
    byteLevel: false,
    keepsTexts: true,
  };
}

function splitting({ pattern, behavior, invert }: z.output<typeof split>): PreTokenizer {
  const searched = 'String' in pattern ? pattern.String : libraryPattern(pattern.Regex, 'pre_tokenizer');
  return cutting(searched, behavior, invert);
}

interface Part {
  readonly from: number;
  readonly to: number;
  readonly isMatch: boolean;
}

/** Cuts at the matches of a pattern, which then stand alone, belong to a neighbour or are left out. */
function cutting(pattern: RegExp | string, behavior: Behavior, invert = false): PreTokenizer {
  const cutOne = ({ text, place }: PlacedText): PlacedText[] =>
    joined(partsOf(text, pattern, invert), behavior).map(({ from, to }) => ({
      text: text.slice(from, to),
      place: from === 0 ? place : 'section',
    }));
  return {
    split: (words) => words.flatMap((word) => (word.text === '' ? [] : cutOne(word))),
    byteLevel: false,
    keepsTexts: behavior !== 'Removed',
  };
}

function partsOf(text: string, pattern: RegExp | string, invert: boolean): Part[] {
  const parts: Part[] = [];
  let at = 0;
  const add = (to: number, isMatch: boolean) => {
    if (to > at) parts.push({ from: at, to, isMatch: isMatch !== invert });
    at = to;
  };
  for (const [from, length] of matchesOf(text, pattern)) {
    add(from, false);
    add(from + length, true);
  }
  add(text.length, false);
  return parts;
}

function* matchesOf(text: string, pattern: RegExp | string): Generator<[from: number, length: number]> {
  if (typeof pattern !== 'string') {
    for (const match of text.matchAll(pattern)) yield [match.index, match[0].length];
    return;
  }
  for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + pattern.length))
    yield [at, pattern.length];
}

function joined(parts: readonly Part[], behavior: Behavior): readonly Part[] {
  if (behavior === 'Isolated') return parts;
  if (behavior === 'Removed') return parts.filter(({ isMatch }) => !isMatch);
  const words: Part[] = [];
  let previous: boolean | undefined;
  for (const part of parts) {
    const last = words.at(-1);
    const joins =
      behavior === 'Contiguous'
        ? part.isMatch === previous
        : behavior === 'MergedWithPrevious'
          ? part.isMatch && previous === false
          : !part.isMatch && previous === true;
    if (last !== undefined && joins) words[words.length - 1] = { ...last, to: part.to };
    else words.push(part);
    previous = part.isMatch;
  }
  return words;
}
