/** Reads the `post_processor` of `tokenizer.json`: the tokens that are put before each text, such as a beginning. */

import { z } from 'zod';
import { unknownStep } from './refusal.js';

const stepSchema = z.looseObject({ type: z.string() });
const sequence = z.looseObject({ processors: z.array(z.unknown()) });
const pair = z.tuple([z.string(), z.int().nonnegative()]);
const framed = z.looseObject({ cls: pair });
const template = z.looseObject({
  single: z.array(
    z.union([
      z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
      z.looseObject({ Sequence: z.looseObject({ id: z.literal('A') }) }),
    ]),
  ),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int().nonnegative()) })),
});

/** @throws HoneError `PACKAGE_INVALID` that names a step that is not known */
export function readLeadingTokens(json: unknown): readonly number[] {
  if (json === null || json === undefined) return [];
  const type = stepSchema.safeParse(json).data?.type ?? 'a step without a type';
  switch (type) {
    case 'ByteLevel':
      return [];
    case 'Sequence':
      // A later step frames what the former made.
      return settings(sequence, json).processors.toReversed().flatMap(readLeadingTokens);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return [settings(framed, json).cls[1]];
    case 'TemplateProcessing':
      return ofTemplate(settings(template, json));
    default:
      throw unknownStep('post_processor', type);
  }
}

function ofTemplate({ single, special_tokens: special }: z.output<typeof template>): number[] {
  const text = single.findIndex((item) => 'Sequence' in item);
  return single.slice(0, Math.max(0, text)).flatMap((item) => {
    const { id } = (item as { SpecialToken: { id: string } }).SpecialToken;
    const ids = special[id]?.ids;
    if (ids === undefined) throw unknownStep('post_processor', `a template with ${JSON.stringify(id)}`);
    return ids;
  });
}

function settings<Schema extends z.ZodType>(schema: Schema, json: unknown): z.output<Schema> {
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw unknownStep('post_processor', `${(json as { type: string }).type} with unknown settings`);
}
