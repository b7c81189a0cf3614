/**
 * Reads the `decoder` of `tokenizer.json`: how tokens become text.
 *
 * Two forms are known. A byte-level token is a string of bytes in GPT-2's alphabet. A piece, as SentencePiece makes them,
 * is text with `▁` for a space, and `<0xNN>` is the one byte NN. In both a token has the same bytes wherever it stands, so
 * that tokens can be decoded one by one. Only the beginning of a whole text may lose spaces: those that the tokenizer
 * puts there when it encodes.
 */

import { z } from 'zod';
import { unknownStep } from './refusal.js';

/** Spaces that the beginning of a whole text loses: so many, or all of the first token. */
export type DroppedSpaces = number | 'first-token';

export interface TokenForm {
  /** Whether tokens are strings of bytes. Otherwise they are pieces of text. */
  readonly byteLevel: boolean;
  /** In pieces: what stands for what, such as `▁` for a space. */
  readonly replaced: readonly (readonly [from: string, to: string])[];
  /** In pieces: whether `<0xNN>` is a byte. */
  readonly byteFallback: boolean;
  readonly droppedSpaces: DroppedSpaces;
}

const schema = z.looseObject({ type: z.string() });
const sequence = z.looseObject({ decoders: z.array(z.unknown()) });
const replace = z.looseObject({ pattern: z.strictObject({ String: z.string().min(1) }), content: z.string() });
const strip = z.looseObject({ content: z.literal(' '), start: z.int().nonnegative(), stop: z.literal(0) });

/** The fields of Metaspace, in a decoder and in a pre-tokenizer. Older files have `add_prefix_space` only. */
export const metaspaceSchema = z
  .looseObject({
    replacement: z.string().default('▁'),
    prepend_scheme: z.enum(['always', 'first', 'never']).nullish(),
    add_prefix_space: z.boolean().nullish(),
    split: z.boolean().nullish(),
  })
  .transform(({ replacement, prepend_scheme, add_prefix_space, split }) => ({
    replacement,
    scheme: prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always'),
    split: split ?? true,
  }));

/** @throws HoneError `PACKAGE_INVALID` that names the step that is not known, or not in this place */
export function readDecoderSteps(decoder: unknown): TokenForm {
  const steps = listSteps(decoder);
  const form = { byteLevel: false, replaced: [] as [string, string][], byteFallback: false, droppedSpaces: 0 };
  const [first] = steps;
  if (steps.length === 1 && typeOf(first) === 'ByteLevel') return { ...form, byteLevel: true };
  if (steps.length === 1 && typeOf(first) === 'Metaspace') return metaspaceForm(first);
  // The order that keeps tokens apart: what concerns single tokens, then what concerns the whole text.
  const order = ['Replace', 'ByteFallback', 'Fuse', 'Strip'];
  let at = 0;
  for (const step of steps) {
    const type = typeOf(step);
    const place = order.indexOf(type);
    if (place < 0) throw unknownStep('decoder', `${type}${steps.length > 1 ? ' among other steps' : ''}`);
    if (place < at) throw unknownStep('decoder', `${type} behind ${order[at]}`);
    at = place;
    if (type === 'Replace') form.replaced.push(replacedBy(step));
    if (type === 'ByteFallback') form.byteFallback = true;
    if (type === 'Strip') {
      if (!steps.some((other) => typeOf(other) === 'Fuse')) throw unknownStep('decoder', 'Strip without Fuse');
      form.droppedSpaces += strippedBy(step);
    }
  }
  if (form.replaced.length === 0) throw unknownStep('decoder', 'without a Replace, ByteLevel or Metaspace');
  return form;
}

function listSteps(decoder: unknown): unknown[] {
  if (decoder === null || decoder === undefined) throw unknownStep('decoder', 'missing');
  if (typeOf(decoder) !== 'Sequence') return [decoder];
  const { data } = sequence.safeParse(decoder);
  if (data === undefined) throw unknownStep('decoder', 'a Sequence without decoders');
  return data.decoders.flatMap(listSteps);
}

function typeOf(step: unknown): string {
  const { data } = schema.safeParse(step);
  if (data === undefined) throw unknownStep('decoder', 'a step without a type');
  return data.type;
}

function replacedBy(step: unknown): [string, string] {
  const { data } = replace.safeParse(step);
  if (data === undefined) throw unknownStep('decoder', 'a Replace of other than a fixed text');
  return [data.pattern.String, data.content];
}

function strippedBy(step: unknown): number {
  const { data } = strip.safeParse(step);
  if (data === undefined) throw unknownStep('decoder', 'a Strip of other than spaces at the beginning');
  return data.start;
}

function metaspaceForm(step: unknown): TokenForm {
  const { data } = metaspaceSchema.safeParse(step);
  if (data === undefined || [...data.replacement].length !== 1) {
    throw unknownStep('decoder', 'a Metaspace with unknown settings');
  }
  return {
    byteLevel: false,
    replaced: [[data.replacement, ' ']],
    byteFallback: false,
    droppedSpaces: data.scheme === 'never' ? 0 : 'first-token',
  };
}
