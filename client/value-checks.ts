/** Checks of single values, lists, maps and objects that a caller gives, without knowing what they are for. */

import type { FieldViolation } from './errors.js';

/** Most faults that are collected. Then the check stops, however much is left. */
const mostViolations = 10;

/** The faults that were found so far. */
export class Findings {
  readonly violations: FieldViolation[] = [];

  get full(): boolean {
    return this.violations.length >= mostViolations;
  }

  add(field: string, description: string): void {
    if (!this.full) this.violations.push({ field, description });
  }
}

/** Checks the value at a path. */
export type Check = (value: unknown, path: string, found: Findings) => void;

/** A check for each key of a type, so that the compiler notices a key that is missing here. */
export type Fields<Type> = { readonly [Key in keyof Type]-?: Check };

/** Makes a check of a description of what is wrong with a value; undefined if nothing is. */
function simple(describe: (value: unknown) => string | undefined): Check {
  return (value, path, found) => {
    const wrong = describe(value);
    if (wrong !== undefined) found.add(path, wrong);
  };
}

export function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

/** Names a value by its type only, because texts of users do not belong into messages. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'an array' : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}

export const text = simple((value) => {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`;
  const { index } = /\p{Surrogate}/u.exec(value) ?? {};
  return index === undefined
    ? undefined
    : `is no valid UTF-16: half of a surrogate pair stands alone at index ${index}; send whole characters`;
});

export const number = simple((value) =>
  typeof value === 'number' ? undefined : `must be a number, not ${kindOf(value)}`,
);

export const flag = simple((value) =>
  typeof value === 'boolean' ? undefined : `must be true or false, not ${kindOf(value)}`,
);

export function between(min: number, max: number, whole = true): Check {
  return simple((value) => {
    const fits = typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
    return fits ? undefined : `must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not ${kindOf(value)}`;
  });
}

export const int32 = between(-(2 ** 31), 2 ** 31 - 1);
export const uint32 = between(0, 2 ** 32 - 1);
export const sequence = between(0, Number.MAX_SAFE_INTEGER);
export const milliseconds = between(0, Number.POSITIVE_INFINITY, false);
export const attempts = simple((value) =>
  typeof value === 'number' && value >= 1 ? undefined : `must be a number of at least 1, not ${kindOf(value)}`,
);

/** Some proxies want a token that carries claims, which takes thousands of characters. */
const mostTokenCharacters = 8192;

/** A blank would end the token. */
export const token = simple((value) =>
  typeof value === 'string' && value.length <= mostTokenCharacters && /^[\x21-\x7e]+$/.test(value)
    ? undefined
    : `must be 1 to ${mostTokenCharacters} printable ASCII characters without blanks`,
);

/** gRPC cannot send other characters in a header, and HTTP/2 allows no blank at either end of one. */
export const requestId = simple((value) =>
  typeof value === 'string' && value.length <= 256 && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
    ? undefined
    : 'must be 1 to 256 printable ASCII characters, with blanks only between others',
);

export const signal = simple((value) =>
  value instanceof AbortSignal ? undefined : `must be an AbortSignal, not ${kindOf(value)}`,
);

export const pem = simple((value) =>
  value instanceof Uint8Array ? undefined : `must be a Buffer, not ${kindOf(value)}`,
);

export const absent: Check = (_, path, found) =>
  found.add(path, 'does not belong into this kind of item: leave it out');

export function oneOf(names: readonly string[], orNull = false): Check {
  const known = new Set<unknown>(orNull ? [...names, null] : names);
  const list = [...names, ...(orNull ? ['null'] : [])].join(', ');
  return simple((value) => (known.has(value) ? undefined : `must be one of ${list}`));
}

export function listOf(check: Check): Check {
  return (value, path, found) => {
    if (!Array.isArray(value)) {
      found.add(path, `must be an array, not ${kindOf(value)}`);
      return;
    }
    for (let i = 0; i < value.length && !found.full; i++) check(value[i], `${path}[${i}]`, found);
  };
}

/** Checks a map: any keys are allowed, whatever they are called. */
export function mapOf(checkKey: (key: string) => string | undefined, check: Check): Check {
  return (value, path, found) => {
    if (!isRecord(value)) {
      found.add(path, `must be an object, not ${kindOf(value)}`);
      return;
    }
    for (const [key, one] of Object.entries(value)) {
      if (found.full) return;
      const wrong = checkKey(key);
      if (wrong === undefined) check(one, `${path}[${JSON.stringify(key)}]`, found);
      else found.add(path, wrong);
    }
  };
}

export const labels = mapOf(
  (key) => (isWellFormed(key) ? undefined : `holds the key ${JSON.stringify(key)}, which is no valid UTF-16`),
  text,
);
export const biases = mapOf(
  (key) =>
    /^\d{1,10}$/.test(key) && Number(key) < 2 ** 32
      ? undefined
      : `holds the key ${JSON.stringify(key)}, which is no token id`,
  number,
);

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Checks an object: it has no other keys than these, and the required ones.
 * @param hints advice for keys that are unknown, by key
 */
export function object<Type>(
  fields: Fields<Type>,
  required: readonly (keyof Type & string)[] = [],
  hints: Readonly<Record<string, string>> = {},
): Check {
  const checks = new Map<string, Check>(Object.entries(fields));
  return (value, path, found) => {
    if (!isRecord(value)) {
      found.add(path, `must be an object, not ${kindOf(value)}`);
      return;
    }
    const below = (key: string): string => (path === '' ? key : `${path}.${key}`);
    for (const key of required) if (value[key] === undefined) found.add(below(key), 'is missing');
    for (const [key, one] of Object.entries(value)) {
      if (found.full) return;
      const check = checks.get(key);
      if (check === undefined) found.add(below(key), unknownKey(key, [...checks.keys()], hints));
      else if (one !== undefined) check(one, below(key), found);
    }
  };
}

function unknownKey(key: string, known: readonly string[], hints: Readonly<Record<string, string>>): string {
  const hint = Object.hasOwn(hints, key) ? hints[key] : nearest(key, known);
  return `is not known${hint === undefined ? `; known are ${known.join(', ')}` : `; ${hint}`}`;
}

/** Advises the name that differs least, if it differs little. */
function nearest(key: string, known: readonly string[]): string | undefined {
  // Longer keys are no slips of the finger, and comparing them would take long.
  if (key.length > 64) return undefined;
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const distances = known.map((name) => [distance(plain(key), plain(name)), name] as const);
  const [least, name] = distances.reduce(
    (best, one) => (one[0] < best[0] ? one : best),
    [Number.POSITIVE_INFINITY, ''],
  );
  return least <= Math.max(1, Math.floor(name.length / 3)) ? `did you mean ${name}?` : undefined;
}

/** The number of characters to insert, delete or replace: Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
