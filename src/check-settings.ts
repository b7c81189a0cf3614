/** The one way to refuse settings: each setting at fault, with its path, the value that was given and what it must be. */

import type { z } from 'zod';
import { HoneError } from './errors.js';

/**
 * Checks settings and completes them with the defaults of their schema.
 * @param name the first part of every path, such as `gate` in `gate.kl.maxNats`
 * @throws HoneError `INVALID_OPTIONS` with a violation for each setting at fault
 */
export function checkSettings<Schema extends z.ZodType>(
  name: string,
  schema: Schema,
  input: unknown,
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const violations = result.error.issues.map((issue) => ({
    field: [name, ...issue.path].join('.'),
    description: describe(issue),
  }));
  const list = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  throw new HoneError('INVALID_OPTIONS', `these settings are not valid: ${list}`, { violations });
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return `has no setting ${issue.keys.join(', ')}; correct the name or remove it`;
  }
  return `${requirement(issue)}, got ${shorten(issue.input)}`;
}

function requirement(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}`;
    case 'too_small':
      return `must ${bound(issue.origin, issue.inclusive ? 'at least' : 'more than', issue.minimum)}`;
    case 'too_big':
      return `must ${bound(issue.origin, issue.inclusive ? 'at most' : 'less than', issue.maximum)}`;
    case 'invalid_key':
      return `is a name that ${issue.issues.map(requirement).join(' and ')}`;
    default:
      return issue.message;
  }
}

function bound(origin: string, comparison: string, limit: number | bigint): string {
  return origin === 'string' ? `have ${comparison} ${limit} characters` : `be ${comparison} ${limit}`;
}

const typeNames: Readonly<Record<string, string>> = {
  number: 'a finite number',
  int: 'a whole number',
  boolean: 'true or false',
  string: 'a text',
  object: 'an object',
  record: 'an object',
};

/** A value as JSON, cut because a mistaken setting can be a whole document. */
function shorten(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
