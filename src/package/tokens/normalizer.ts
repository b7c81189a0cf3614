/** Reads the `normalizer` of `tokenizer.json`: how a text is changed before it is cut into tokens. */

import { z } from 'zod';
import { libraryPattern } from './library-pattern.js';
import { PrecompiledMap } from './precompiled.js';
import { unknownStep } from './refusal.js';
import type { TextPlace } from './text-place.js';

export interface Normalizer {
  normalize(text: string, place: TextPlace): string;
  /** Whether each character of a text stays, or becomes one other. */
  readonly keepsLength: boolean;
}

const stepSchema = z.looseObject({ type: z.string() });
const sequence = z.looseObject({ normalizers: z.array(z.unknown()) });
const prepend = z.looseObject({ prepend: z.string() });
const strip = z.looseObject({ strip_left: z.boolean().default(true), strip_right: z.boolean().default(true) });
const replace = z.looseObject({
  pattern: z.union([z.strictObject({ String: z.string().min(1) }), z.strictObject({ Regex: z.string() })]),
  content: z.string(),
});

const precompiled = z.looseObject({ precompiled_charsmap: z.string().nullish() });

const unchanged: Normalizer = { normalize: (text) => text, keepsLength: true };

/** @throws HoneError `PACKAGE_INVALID` that names a step that is not known */
export function readNormalizer(json: unknown): Normalizer {
  if (json === null || json === undefined) return unchanged;
  const type = stepSchema.safeParse(json).data?.type ?? 'a step without a type';
  const read = readers[type];
  if (read === undefined) throw unknownStep('normalizer', type);
  return read(json);
}

const changing = (normalize: Normalizer['normalize']): Normalizer => ({ normalize, keepsLength: false });

/** By type. */
const readers: Readonly<Record<string, (json: unknown) => Normalizer>> = {
  Sequence: (json) => inSequence(settings(sequence, json).normalizers.map(readNormalizer)),
  Prepend: (json) => prepending(settings(prepend, json).prepend),
  Replace: (json) => replacing(settings(replace, json)),
  Strip: (json) => stripping(settings(strip, json)),
  Lowercase: () => changing((text) => Array.from(text, (character) => character.toLowerCase()).join('')),
  StripAccents: () => changing((text) => text.replace(/\p{M}/gu, '')),
  Precompiled: (json) => replacingCharacters(settings(precompiled, json)),
  NFC: () => changing((text) => text.normalize('NFC')),
  NFD: () => changing((text) => text.normalize('NFD')),
  NFKC: () => changing((text) => text.normalize('NFKC')),
  NFKD: () => changing((text) => text.normalize('NFKD')),
};

function settings<Schema extends z.ZodType>(schema: Schema, json: unknown): z.output<Schema> {
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw unknownStep('normalizer', `${(json as { type: string }).type} with unknown settings`);
}

function inSequence(steps: readonly Normalizer[]): Normalizer {
  return {
    normalize: (text, place) => steps.reduce((changed, step) => step.normalize(changed, place), text),
    keepsLength: steps.every(({ keepsLength }) => keepsLength),
  };
}

function prepending(prefix: string): Normalizer {
  const normalize = (text: string, place: TextPlace) => (place === 'continued' || text === '' ? text : prefix + text);
  return { normalize, keepsLength: true };
}

function replacing(step: z.output<typeof replace>): Normalizer {
  const { pattern, content } = step;
  if ('String' in pattern) {
    return {
      normalize: (text) => text.replaceAll(pattern.String, () => content),
      keepsLength: pattern.String.length === 1 && content.length === 1,
    };
  }
  const expression = libraryPattern(pattern.Regex, 'normalizer');
  return changing((text) => text.replaceAll(expression, () => content));
}

function replacingCharacters({ precompiled_charsmap: table }: z.output<typeof precompiled>): Normalizer {
  if (table === null || table === undefined || table === '') return unchanged;
  const map = new PrecompiledMap(table);
  return changing((text) => map.apply(text));
}

function stripping({ strip_left, strip_right }: z.output<typeof strip>): Normalizer {
  return changing((text) => {
    const left = strip_left ? text.replace(/^\p{White_Space}+/u, '') : text;
    return strip_right ? left.replace(/\p{White_Space}+$/u, '') : left;
  });
}
