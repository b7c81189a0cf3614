/** Reads the lines that `record.ts` writes, and refuses every other line. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { groupKey } from './group-key.js';
import { type ReplayRecord, recordFormat } from './record.js';

const largestToken = 2 ** 32 - 1;
const token = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= largestToken;
const tokens = z.custom<number[]>((value) => Array.isArray(value) && value.every(token), {
  error: `must be a list of token ids from 0 to ${largestToken}`,
});
const notFinite: readonly unknown[] = ['NaN', 'Infinity', '-Infinity'];
const logprobs = z.custom<(number | string)[]>(
  (value) => Array.isArray(value) && value.every((item) => typeof item === 'number' || notFinite.includes(item)),
  { error: 'must be a list of numbers' },
);
const time = z.int().min(0);
const text = z.string();
const json = z.record(z.string(), z.unknown());
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
  prompt: z.unknown(),
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
  const result = record.safeParse(parseJson(line));
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

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw refused('', 'the line is not JSON');
  }
}

function invalid({ issues }: z.ZodError): HoneError {
  const violations = issues.map(({ path, message }) => ({ field: path.join('.'), description: message }));
  const words = violations.map(({ field, description }) => (field === '' ? description : `${field}: ${description}`));
  return new HoneError('INVALID_REQUEST', `the line is not a record: ${words.join('; ')}`, { violations });
}

function refused(field: string, description: string): HoneError {
  const message = field === '' ? description : `${field}: ${description}`;
  return new HoneError('INVALID_REQUEST', message, { violations: [{ field, description }] });
}
