import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadTokenizer } from '../../../src/package/index.js';
import { tinyDirectory } from '../../support/tiny.js';

const folder = join(dirname(tinyDirectory), '../oracles/tokenizers');

type Expected = [text: string, tokens: number[], decoded: string];

const kinds = ['prepended', 'unprefixed', 'first', 'unigram', 'unigram-never', 'byte-level'];

function expectedOf(kind: string): Expected[] {
  return JSON.parse(readFileSync(join(folder, kind, 'expected.json'), 'utf8'));
}

function specialOf(kind: string): Set<number> {
  const { added_tokens: added } = JSON.parse(readFileSync(join(folder, kind, 'tokenizer.json'), 'utf8'));
  const special = (added as { id: number; special: boolean; content: string }[]).filter((token) => token.special);
  return new Set(special.filter(({ content }) => content !== '<unk>').map(({ id }) => id));
}

describe.each(kinds)('a tokenizer of the kind "%s"', async (kind) => {
  const tokenizer = await loadTokenizer(join(folder, kind));
  const expected = expectedOf(kind);
  const bos = tokenizer.encodeText('').length;

  test('encodes texts as Hugging Face does', () => {
    for (const [text, tokens] of expected) expect(tokenizer.encodeText(text), JSON.stringify(text)).toEqual(tokens);
  });

  test('decodes whole texts as Hugging Face does', () => {
    for (const [text, tokens, decoded] of expected) {
      expect(tokenizer.decode(tokens.slice(bos)), JSON.stringify(text)).toBe(decoded);
    }
  });

  test('never makes a special token of a text', () => {
    const special = specialOf(kind);
    for (const [text] of expected) {
      expect(
        tokenizer.encodeCompletion(text).filter((token) => special.has(token)),
        JSON.stringify(text),
      ).toEqual([]);
      expect(
        tokenizer
          .encodeText(text)
          .slice(bos)
          .filter((token) => special.has(token)),
      ).toEqual([]);
    }
  });

  test('decodes any tokens in pieces that add up to the whole, at the beginning and behind other text', () => {
    const ids = fc.array(fc.nat({ max: tokenizer.vocabularySize }), { maxLength: 20 });
    fc.assert(
      fc.property(ids, fc.constantFrom('start' as const, 'continued' as const), (tokens, place) => {
        const decoder = tokenizer.createDecoder(place);
        const pieces = tokens.map((token) => decoder.push(token));
        expect(pieces.join('') + decoder.flush()).toBe(tokenizer.decode(tokens, place));
      }),
    );
  });
});

describe('a completion', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc
      .array(fc.constantFrom(' ', 'the', ' cat', '\n', 'é', '👋', '<s>', '<tool>', '日本', '  '), { maxLength: 8 })
      .map((parts) => parts.join('')),
  );
  // A text cannot tell its own marks from spaces.
  const unmarked = text.filter((value) => !value.includes('▁') && !/\p{Surrogate}/u.test(value));

  test.each(['prepended', 'unprefixed', 'first'])(
    'decodes to the text that it was encoded from, in the kind "%s"',
    async (kind) => {
      const tokenizer = await loadTokenizer(join(folder, kind));
      fc.assert(
        fc.property(unmarked, (value) => {
          expect(tokenizer.decode(tokenizer.encodeCompletion(value), 'continued')).toBe(value);
        }),
      );
    },
  );

  test('keeps the space of its first token, which a whole text loses', async () => {
    const tokenizer = await loadTokenizer(join(folder, 'prepended'));
    const tokens = tokenizer.encodeCompletion(' the cat');
    expect(tokens).toEqual(tokenizer.encodeText('the cat').slice(1));
    expect(tokenizer.decode(tokens, 'continued')).toBe(' the cat');
    expect(tokenizer.decode(tokens)).toBe('the cat');
    expect(tokenizer.encodeCompletion('the cat')).not.toEqual(tokens);
  });

  test('of a byte-level tokenizer gets no space in front', async () => {
    const tokenizer = await loadTokenizer(join(folder, 'byte-level'));
    expect(tokenizer.decode(tokenizer.encodeCompletion('cat'), 'continued')).toBe('cat');
    expect(tokenizer.decode(tokenizer.encodeText('cat'))).toBe(' cat');
  });
});
