/** Reads the lines that `record.ts` writes, and refuses every other line. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { groupKey } from './group-key.js';
import { inexactNumber, parseLine } from './line-json.js';
import { type ReplayRecord, recordFormat } from './record.js';

const largestToken = 2 ** 32 - 1;
const token = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= largestToken;
const tokens = z.custom<number[]>((value) => Array.isArray(value) && value.every(token), {
  error: `must be a list of token ids from 0 to ${largestToken}`,
});
const isFloat = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(Math.fround(value));
const notFinite: readonly unknown[] = ['NaN', 'Infinity', '-Infinity'];
const logprobs = z.custom<(number | string)[]>(
  (value) => Array.isArray(value) && value.every((item) => isFloat(item) || notFinite.includes(item)),
  { error: 'must be a list of numbers in the range of 32-bit floats' },
);
const time = z.int().min(0);
// SQLite stores UTF-8, in which half a surrogate pair does not exist: another text would be stored.
const text = z.string().refine((value) => !/\p{Surrogate}/u.test(value), {
  error: 'must be a text of whole characters; it holds half a surrogate pair',
});
/** Any JSON that is stored as it is. */
const anyJson = z.unknown().superRefine((value, context) => {
  const wrong = value === undefined ? 'is missing' : inexactNumber(value);
  if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong });
});
// Not a record of zod, which drops a key called __proto__.
const json = anyJson.refine(isObject, { error: 'must be an object' }).transform((value) => value as object);
const id = z.uuid({ error: 'must be a UUID' }).transform((value) => value.toLowerCase());
const by = { rater: text.min(1).max(256), metric: text.min(1).max(64), createdAtMs: time };
const format = z.literal(recordFormat, { error: `must be ${recordFormat}, the only format that this build reads` });
const common = {
  format,
  id,
  packageDigest: text,
  version: z.int().min(0),
  adapterDigest: text,
  subject: text.max(256),
  createdAtMs: time,
  finishedAtMs: time,
  metadata: json,
  prompt: anyJson,
  promptTokens: tokens,
  text,
  tokens,
};

const record = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('generation'),
    ...common,
    origin: z.enum(['sampled', 'explored', 'shadow']),
    state: z.enum(['finished', 'cancelled', 'aborted']),
    finishReason: text,
    endOfSequence: z.boolean(),
    sampling: json,
    logprobs,
    sampledLogprobs: logprobs,
  }),
  z.strictObject({ type: z.literal('edit'), ...common, editOf: id }),
  z.strictObject({ type: z.literal('score'), format, generationId: id, value: z.number(), ...by }),
  z.strictObject({
    type: z.literal('preference'),
    format,
    generationId: id,
    otherId: id,
    outcome: z.enum(['better', 'worse', 'tie']),
    ...by,
  }),
]);

/**
 * Reads one line.
 * @throws HoneError `INVALID_REQUEST` with the fields at fault if the line is not a record of this format
 */
export function parseRecord(line: string): ReplayRecord {
  const result = record.safeParse(parseLine(line));
  if (!result.success) throw invalid(result.error);
  const { format: _, ...parsed } = result.data;
  switch (parsed.type) {
    case 'score': {
      const { type, ...score } = parsed;
      return { type, score };
    }
    case 'preference': {
      const { type, ...preference } = parsed;
      return { type, preference };
    }
    case 'edit': {
      const { type, editOf, ...rest } = parsed;
      const whole = { origin: 'edit', state: 'finished', finishReason: 'stop', endOfSequence: true } as const;
      return { type: 'generation', generation: { ...toStored(rest), ...whole, ...unsampled, editOf } };
    }
    case 'generation': {
      const { type, sampling, logprobs: plain, sampledLogprobs: sampled, ...rest } = parsed;
      if (plain.length !== rest.tokens.length || sampled.length !== rest.tokens.length) {
        throw refused('logprobs', 'must hold one number for each token, as must sampledLogprobs');
      }
      const numbers = { logprobs: toFloats(plain), sampledLogprobs: toFloats(sampled) };
      const samplingJson = JSON.stringify(sampling);
      return { type, generation: { ...rest, ...toStored(rest), ...numbers, samplingJson, editOf: null } };
    }
  }
}

const unsampled = { samplingJson: '{}', logprobs: new Float32Array(0), sampledLogprobs: new Float32Array(0) };

type CommonFields = Pick<z.infer<typeof record> & { type: 'edit' }, keyof typeof common>;

function toStored({ format: _, metadata, prompt, ...rest }: Omit<CommonFields, 'format'> & { format?: unknown }) {
  const promptTokens = Uint32Array.from(rest.promptTokens);
  return {
    ...rest,
    groupKey: groupKey(rest.packageDigest, promptTokens),
    metadataJson: JSON.stringify(metadata),
    promptJson: JSON.stringify(prompt),
    promptTokens,
    tokens: Uint32Array.from(rest.tokens),
  };
}

function toFloats(values: readonly (number | string)[]): Float32Array {
  return Float32Array.from(values, Number);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Bounds of a refusal, because the first hundred of an import are kept until its end. */
const maxIssues = 10;
const maxDescription = 200;

function invalid({ issues }: z.ZodError): HoneError {
  // A message names all members that a record does not have, of which a line may hold very many.
  const violations = issues
    .slice(0, maxIssues)
    .map(({ path, message }) => ({ field: path.join('.'), description: message.slice(0, maxDescription) }));
  const words = violations.map(({ field, description }) => (field === '' ? description : `${field}: ${description}`));
  return new HoneError('INVALID_REQUEST', `the line is not a record: ${words.join('; ')}`, { violations });
}

function refused(field: string, description: string): HoneError {
  return new HoneError('INVALID_REQUEST', `${field}: ${description}`, { violations: [{ field, description }] });
}
