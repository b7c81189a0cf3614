/**
 * Checks requests with zod and turns its issues into field violations, named as in the contract:
 * `sampling.max_tokens`, `messages[1].role`.
 */

import { z } from 'zod';
import { type FieldViolation, HoneError } from '../errors.js';
import { addIssues, recordOf } from '../record-schema.js';

/** Most fields at fault that one error names. A check stops when it has found so many. */
const maxViolations = 10;

/** Maps whose keys are the caller's own words. They are quoted and not renamed. */
const maps = new Set(['metadata', 'logitBias']);

/** A path of camelCase keys in the contract's spelling. */
export function fieldPath(path: readonly PropertyKey[]): string {
  let field = '';
  let insideMap = false;
  for (const part of path) {
    if (typeof part === 'number') field += `[${part}]`;
    else if (insideMap) field += `["${String(part)}"]`;
    else field += `${field === '' ? '' : '.'}${snakeCase(String(part))}`;
    insideMap = maps.has(String(part));
  }
  return field;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Checks `input` and completes it with the schema's defaults.
 * @throws HoneError `INVALID_REQUEST` with a violation per field at fault
 */
export function check<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  throw invalidRequest(
    result.error.issues.slice(0, maxViolations).map((issue) => ({
      field: fieldPath(issue.path),
      description: describe(issue.message, issue.input),
    })),
  );
}

/** The error for fields at fault. Its message names all of them. */
export function invalidRequest(violations: readonly FieldViolation[]): HoneError {
  const list = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new HoneError('INVALID_REQUEST', `the request is invalid: ${list}`, { violations });
}

/** Repeats a number in the description. Texts are not repeated, because errors are logged and a text may be private. */
function describe(message: string, input: unknown): string {
  return typeof input === 'number' ? `${message}, got ${input}` : message;
}

/** A number within bounds, which the description names. */
export function numberBetween(min: number, max: number, words = `must be a number from ${min} to ${max}`) {
  return z.number({ error: words }).min(min, { error: words }).max(max, { error: words });
}

/** A whole number within bounds. */
export function wholeBetween(min: number, max: number) {
  const words = `must be a whole number from ${min} to ${max}`;
  return z.number({ error: words }).int({ error: words }).min(min, { error: words }).max(max, { error: words });
}

export function textUpTo(maxCharacters: number) {
  const words = `must be a text of at most ${maxCharacters} characters`;
  return z.string({ error: words }).max(maxCharacters, { error: words });
}

/** A list of at most `max` values. The check stops when ten fields of them are at fault. */
export function listUpTo<Item extends z.ZodType>(item: Item, max: number, values: string) {
  const words = `must hold at most ${max} ${values}`;
  return z
    .array(z.unknown(), { error: `must be a list of ${values}` })
    .max(max, { error: words, abort: true })
    .transform((entries, context) => {
      const checked: z.output<Item>[] = [];
      for (const [index, entry] of entries.entries()) {
        const result = item.safeParse(entry, { reportInput: true });
        if (result.success) checked.push(result.data);
        else if (addIssues(context, result.error.issues, index) >= maxViolations) break;
      }
      return checked;
    });
}

/**
 * A map of at most `max` entries, whatever their keys are called (`__proto__`, `constructor`). The check stops when ten
 * of them are at fault.
 */
export function mapUpTo<Value extends z.ZodType>(key: z.ZodType<string>, value: Value, max: number, entries: string) {
  const words = `must hold at most ${max} ${entries}`;
  return z
    .custom<Readonly<Record<string, unknown>>>(
      (map) => typeof map !== 'object' || map === null || Object.keys(map).length <= max,
      { error: words, abort: true },
    )
    .pipe(recordOf(key, value, maxViolations));
}
