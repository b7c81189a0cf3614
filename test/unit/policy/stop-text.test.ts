import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopText } from '../../../src/policy/stop-text.js';

describe('text with stop strings', () => {
  const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 }), { maxLength: 20 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });

  test('ends where the first complete stop string begins; nothing of it leaves before', () => {
    fc.assert(
      fc.property(pieces, stops, (parts, ends) => {
        const text = new StopText(ends);
        let out = '';
        let fed = '';
        for (const part of parts) {
          fed += part;
          out += text.push(part);
          expect(text.stopped).toBe(ends.some((end) => fed.includes(end)));
          if (text.stopped) break;
          expect(fed.startsWith(out)).toBe(true);
          // What was let go cannot be the beginning of a stop string that the held text continues.
          expect(ends.some((end) => out.includes(end))).toBe(false);
        }
        out += text.flush();
        const cuts = ends.map((end) => fed.indexOf(end)).filter((at) => at >= 0);
        expect(out).toBe(cuts.length === 0 ? fed : fed.slice(0, Math.min(...cuts)));
      }),
    );
  });

  test('leaves at once where no stop string can begin', () => {
    const text = new StopText(['\n\n']);
    expect(text.push('abc')).toBe('abc');
    expect(text.push('d\n')).toBe('d');
    expect(text.push('e')).toBe('\ne');
    expect(text.push('\n')).toBe('');
    expect(text.push('\nf')).toBe('');
    expect(text.stopped).toBe(true);
    expect(text.flush()).toBe('');
  });
});
