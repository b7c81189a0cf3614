/** Objects with keys of somebody's own are checked without losing any of them. */

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordOf } from '../../src/record-schema.js';

const numbers = recordOf(z.string().max(12), z.number());

describe('an object of any keys', () => {
  it('keeps every key, whatever it is called', () => {
    const parsed = numbers.parse(JSON.parse('{"__proto__":1,"constructor":2,"toString":3}'));
    expect(Object.entries(parsed)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
      ['toString', 3],
    ]);
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
  });

  it('names the keys and the values at fault by their path, and stops at a number of them', () => {
    const { error } = numbers.safeParse({ good: 1, bad: 'x', 'far too long a name': 2 });
    expect(error?.issues.map(({ code, path }) => [code, path])).toEqual([
      ['invalid_type', ['bad']],
      ['invalid_key', ['far too long a name']],
    ]);
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'x']));
    expect(recordOf(z.string(), z.number(), 3).safeParse(many).error?.issues).toHaveLength(3);
  });

  it.each([[null], [[1]], ['text'], [7]])('is not %j', (value) => {
    expect(numbers.safeParse(value).error?.issues.map(({ message }) => message)).toEqual(['must be an object']);
  });
});
