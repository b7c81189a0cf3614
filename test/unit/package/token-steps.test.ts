import { describe, expect, test } from 'vitest';
import { readDecoderSteps } from '../../../src/package/tokens/decoder-steps.js';
import { JsonBytes } from '../../../src/package/tokens/json-bytes.js';
import { readNormalizer } from '../../../src/package/tokens/normalizer.js';
import { readLeadingTokens } from '../../../src/package/tokens/post-processor.js';
import { readPreTokenizer } from '../../../src/package/tokens/pre-tokenizer.js';

const refused = (mentions: string) =>
  expect.objectContaining({ code: 'PACKAGE_INVALID', message: expect.stringContaining(mentions) });
const replace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
const decoders = (...steps: unknown[]) => ({ type: 'Sequence', decoders: steps });

describe('a decoder', () => {
  test.each([
    ['WordPiece', { type: 'WordPiece', prefix: '##' }],
    ['CTC', decoders({ type: 'CTC' })],
    ['BPEDecoder', { type: 'BPEDecoder', suffix: '</w>' }],
    ['missing', null],
    ['Strip without Fuse', decoders(replace, strip)],
    ['Replace behind Fuse', decoders({ type: 'Fuse' }, replace)],
    ['Replace behind ByteFallback', decoders({ type: 'ByteFallback' }, replace)],
    ['a Replace of other', decoders({ ...replace, pattern: { Regex: 'a+' } })],
    ['a Strip of other', decoders(replace, { type: 'Fuse' }, { ...strip, stop: 1 })],
    ['ByteLevel among other steps', decoders(replace, { type: 'ByteLevel' })],
    ['Metaspace among other steps', decoders(replace, { type: 'Metaspace' })],
    ['without a Replace', decoders({ type: 'Fuse' })],
  ])('is refused by name: %s', (mentions, decoder) => {
    expect(() => readDecoderSteps(decoder)).toThrowError(refused(mentions));
  });

  test('of older files says with add_prefix_space whether texts begin with a mark', () => {
    const dropped = (fields: object) =>
      readDecoderSteps({ type: 'Metaspace', replacement: '▁', ...fields }).droppedSpaces;
    expect(dropped({ add_prefix_space: false })).toBe(0);
    expect(dropped({ add_prefix_space: true })).toBe('first-token');
    expect(dropped({ prepend_scheme: 'never' })).toBe(0);
  });
});

describe('steps before the model', () => {
  test('are refused by name if they are not known', () => {
    expect(() => readNormalizer({ type: 'Nmt' })).toThrowError(refused('normalizer is Nmt'));
    expect(() => readNormalizer({ type: 'Replace', pattern: {}, content: '' })).toThrowError(
      refused('unknown settings'),
    );
    expect(() => readNormalizer({ type: 'Replace', pattern: { Regex: '(?<' }, content: '' })).toThrowError(
      refused('JavaScript cannot express'),
    );
    expect(() => readPreTokenizer({ type: 'UnicodeScripts' })).toThrowError(refused('pre_tokenizer is UnicodeScripts'));
    expect(() => readLeadingTokens({ type: 'Frame' })).toThrowError(refused('post_processor is Frame'));
  });

  // As tokenizers 0.23 cuts these texts.
  test.each([
    ['Isolated', ['a', '-', 'b', '-', '-', 'c']],
    ['Removed', ['a', 'b', 'c']],
    ['MergedWithPrevious', ['a-', 'b-', '-', 'c']],
    ['MergedWithNext', ['a', '-b', '-', '-c']],
    ['Contiguous', ['a', '-', 'b', '--', 'c']],
  ])('cut at a text and do with it what they say: %s', (behavior, words) => {
    const step = { type: 'Split', pattern: { String: '-' }, behavior, invert: false };
    const given = [{ text: 'a-b--c', place: 'start' as const }];
    expect(
      readPreTokenizer(step)
        .split(given)
        .map(({ text }) => text),
    ).toEqual(words);
  });

  test('put a mark before the first section only, before all, or before none', () => {
    const marked = (prepend_scheme: string, place: 'start' | 'section' | 'continued') =>
      readPreTokenizer({ type: 'Metaspace', prepend_scheme })
        .split([{ text: 'a b', place }])
        .map(({ text }) => text);
    expect(marked('first', 'start')).toEqual(['▁a', '▁b']);
    expect(marked('first', 'section')).toEqual(['a', '▁b']);
    expect(marked('always', 'section')).toEqual(['▁a', '▁b']);
    expect(marked('always', 'continued')).toEqual(['a', '▁b']);
    expect(marked('never', 'start')).toEqual(['a', '▁b']);
  });
});

describe('JSON that is read from its bytes', () => {
  const read = (text: string) => {
    const bytes = Buffer.from(text);
    const into = Buffer.alloc(bytes.length);
    return into.toString('utf8', 0, new JsonBytes(bytes).string(into, 0));
  };

  test.each(['"é日👋"', '"\\u00e9\\ud83d\\udc4b"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u0000"', '""'])(
    'has the strings that JSON.parse reads: %s',
    (text) => {
      expect(read(text)).toBe(JSON.parse(text));
    },
  );

  test.each(['"a', '"\\x"', '"\\u12"', '"\n"', 'a'])('is refused where JSON.parse refuses it: %j', (text) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(() => read(text)).toThrow();
  });

  test.each([
    ['12,', 12],
    ['0]', 0],
    ['01,', -1],
    ['1.5,', -1],
    ['1e3,', -1],
    ['-1,', -1],
  ])('has whole numbers: %s', (text, number) => {
    expect(new JsonBytes(Buffer.from(text)).wholeNumber()).toBe(number);
  });
});
