import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteDecoder } from '../../../src/package/token-decoder.js';
import { StopText } from '../../../src/policy/sampling/stop-text.js';
import { packTokenBytes } from '../../support/token-bytes.js';

describe('text with stop strings', () => {
  const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 }), { maxLength: 20 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });

  test('ends before the first complete stop string, and no part of it is sent earlier', () => {
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
          // Text that was sent must not contain a stop string.
          expect(ends.some((end) => out.includes(end))).toBe(false);
        }
        out += text.flush();
        const cuts = ends.map((end) => fed.indexOf(end)).filter((at) => at >= 0);
        expect(out).toBe(cuts.length === 0 ? fed : fed.slice(0, Math.min(...cuts)));
      }),
    );
  });

  test('from a byte-level decoder is never cut inside a character, and shows no part of the stop string', () => {
    const utf8 = new TextEncoder();
    const words = fc.array(fc.constantFrom('a', 'b', 'é', '日', '👋', '👍', '\n', 'ab', '👋👋', '\u{1F1E9}\u{1F1EA}'), {
      maxLength: 14,
    });
    const written = fc.oneof(
      words.map((parts) => parts.join('')).filter((stop) => stop !== ''),
      fc.constantFrom('\uD83D', '\uDC4B', 'a\uD83D'),
    );
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(words, fc.array(written, { maxLength: 3 }), sizes, (parts, ends, lengths) => {
        // Tokens are cut at any byte, so they end inside characters and inside stop strings.
        const bytes = utf8.encode(parts.join(''));
        const tokens: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = lengths[i % lengths.length] as number;
          tokens.push(bytes.subarray(at, at + length));
          at += length;
        }
        const decoder = new ByteDecoder(packTokenBytes(tokens));
        const text = new StopText(ends);
        let fed = '';
        const pieces: string[] = [];
        for (const token of tokens.keys()) {
          const piece = decoder.push(token);
          fed += piece;
          pieces.push(text.push(piece));
          if (text.stopped) break;
        }
        const rest = decoder.flush();
        fed += rest;
        pieces.push(text.push(rest) + text.flush());
        for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
        const possible = ends.filter((end) => !/\p{Surrogate}/u.test(end));
        const cuts = possible.map((end) => fed.indexOf(end)).filter((at) => at >= 0);
        expect(pieces.join('')).toBe(cuts.length === 0 ? fed : fed.slice(0, Math.min(...cuts)));
      }),
      { numRuns: 2000 },
    );
  });

  test('is sent at once if no stop string can begin in it', () => {
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
