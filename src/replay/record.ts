/**
 * The store as lines of JSON, for export and import: `docs/replay.md` describes them. A line says all that is kept of one
 * generation, edit, score or preference, in numbers and words of its own: nothing in it depends on this store, but that
 * scores and preferences follow their generations.
 */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import { groupKey } from './group-key.js';
import type { Generation, Preference, Score } from './types.js';

/** Number of the format, in every record. */
export const recordFormat = 1;

export type ReplayRecord =
  | { readonly type: 'generation'; readonly generation: Generation }
  | { readonly type: 'score'; readonly score: Omit<Score, 'sequence'> }
  | { readonly type: 'preference'; readonly preference: Omit<Preference, 'sequence'> };

const largestToken = 2 ** 32 - 1;
const token = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= largestToken;
const tokens = z.custom<number[]>((value) => Array.isArray(value) && value.every(token), {
  error: `must be a list of token ids from 0 to ${largestToken}`,
});
const odd: readonly unknown[] = ['NaN', 'Infinity', '-Infinity'];
const logprobs = z.custom<(number | string)[]>(
  (value) => Array.isArray(value) && value.every((item) => typeof item === 'number' || odd.includes(item)),
  { error: 'must be a list of numbers' },
);
const time = z.int().min(0);
const text = z.string();
const json = z.record(z.string(), z.unknown());
const id = z.uuid({ error: 'must be a UUID' }).transform((value) => value.toLowerCase());
const by = { rater: text.min(1).max(256), metric: text.min(1).max(64), createdAtMs: time };
const format = z.literal(recordFormat, { error: `must be ${recordFormat}: this build reads no other format` });
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
 * @throws HoneError `INVALID_REQUEST` where it is not a record of this format, with the fields at fault
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
      return { type: 'generation', generation: { ...toWords(rest), ...whole, ...unsampled, editOf } };
    }
    case 'generation': {
      const { type, sampling, logprobs: plain, sampledLogprobs: sampled, ...rest } = parsed;
      if (plain.length !== rest.tokens.length || sampled.length !== rest.tokens.length) {
        throw refused('logprobs', 'there must be two log-probabilities for each token');
      }
      const numbers = { logprobs: toFloats(plain), sampledLogprobs: toFloats(sampled) };
      const samplingJson = JSON.stringify(sampling);
      return { type, generation: { ...rest, ...toWords(rest), ...numbers, samplingJson, editOf: null } };
    }
  }
}

const unsampled = { samplingJson: '{}', logprobs: new Float32Array(0), sampledLogprobs: new Float32Array(0) };

/** A line, without its end. */
export function formatRecord(item: ReplayRecord): string {
  if (item.type === 'score') {
    const { generationId, rater, metric, value, createdAtMs } = item.score;
    return JSON.stringify({ format: recordFormat, type: 'score', generationId, rater, metric, value, createdAtMs });
  }
  if (item.type === 'preference') {
    const { generationId, otherId, rater, metric, outcome, createdAtMs } = item.preference;
    const fields = { generationId, otherId, rater, metric, outcome, createdAtMs };
    return JSON.stringify({ format: recordFormat, type: 'preference', ...fields });
  }
  const { generation: g } = item;
  const common = {
    packageDigest: g.packageDigest,
    version: g.version,
    adapterDigest: g.adapterDigest,
    subject: g.subject,
    createdAtMs: g.createdAtMs,
    finishedAtMs: g.finishedAtMs ?? g.createdAtMs,
    metadata: JSON.parse(g.metadataJson) as unknown,
    prompt: JSON.parse(g.promptJson) as unknown,
    promptTokens: [...g.promptTokens],
    text: g.text,
    tokens: [...g.tokens],
  };
  if (g.origin === 'edit') {
    return JSON.stringify({ format: recordFormat, type: 'edit', id: g.id, editOf: g.editOf, ...common });
  }
  return JSON.stringify({
    format: recordFormat,
    type: 'generation',
    id: g.id,
    origin: g.origin,
    state: g.state,
    finishReason: g.finishReason ?? '',
    endOfSequence: g.endOfSequence,
    ...common,
    sampling: JSON.parse(g.samplingJson) as unknown,
    logprobs: toNumbers(g.logprobs),
    sampledLogprobs: toNumbers(g.sampledLogprobs),
  });
}

type Words = Pick<z.infer<typeof record> & { type: 'edit' }, keyof typeof common>;

function toWords({ format: _, metadata, prompt, ...rest }: Omit<Words, 'format'> & { format?: unknown }) {
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

/** Nine digits tell any two 32-bit numbers apart. */
function toNumbers(values: Float32Array): (number | string)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(9)) : String(value)));
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
  return new HoneError('INVALID_REQUEST', `not a record: ${words.join('; ')}`, { violations });
}

function refused(field: string, description: string): HoneError {
  const message = field === '' ? description : `${field}: ${description}`;
  return new HoneError('INVALID_REQUEST', message, { violations: [{ field, description }] });
}
