import { cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadTokenizer, type PackageTokenizer } from '../../../src/package/index.js';
import { decodeTokens } from '../../../src/package/token-decoder.js';
import { temporaryFolder } from '../../support/folders.js';
import { tinyDirectory } from '../../support/tiny.js';
import { packTokenBytes } from '../../support/token-bytes.js';

const [end, user, assistant, system] = [256, 257, 258, 259];
const firstSpecial = 256;
const specialTexts = ['<|end|>', '<|user|>', '<|assistant|>', '<|system|>'];

let tiny: PackageTokenizer;
let scratch: string;

beforeAll(async () => {
  tiny = await loadTokenizer(tinyDirectory);
  scratch = temporaryFolder();
});

/** Returns the tiny package's tokenizer with other settings. */
async function variant(
  name: string,
  changes: { readonly config?: object; readonly tokenizer?: (json: Record<string, never>) => void },
): Promise<PackageTokenizer> {
  const directory = join(scratch, name);
  await cp(tinyDirectory, directory, { recursive: true });
  const config = JSON.parse(await readFile(join(directory, 'tokenizer_config.json'), 'utf8'));
  await writeFile(join(directory, 'tokenizer_config.json'), JSON.stringify({ ...config, ...changes.config }));
  const tokenizer = JSON.parse(await readFile(join(directory, 'tokenizer.json'), 'utf8'));
  changes.tokenizer?.(tokenizer);
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tokenizer));
  return loadTokenizer(directory);
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc
    .array(fc.constantFrom('👩‍👩‍👧', 'é', ' ', '<|end|>', '<|', '|>', '<', '\n', '日本', 'a', '\uFEFF', '\uE000'), {
      maxLength: 10,
    })
    .map((parts) => parts.join('')),
);

describe('the tokenizer of a package', () => {
  test('knows how many characters one token stands for at most, if nothing shortens a text', async () => {
    expect(tiny.charactersPerToken).toBe(1);
    const added = { id: 260, content: 'abcd', special: false, lstrip: false, rstrip: false };
    const merged = (fields: object) => (json: Record<string, unknown>) => {
      json.added_tokens = [...(json.added_tokens as object[]), { ...added, ...fields }];
    };
    expect((await variant('longer', { tokenizer: merged({}) })).charactersPerToken).toBe(4);
    expect((await variant('strips', { tokenizer: merged({ lstrip: true }) })).charactersPerToken).toBe(128);
    expect((await variant('huge', { tokenizer: merged({ content: 'x'.repeat(1000) }) })).charactersPerToken).toBe(128);
    const removes = { type: 'Split', pattern: { Regex: ' ' }, behavior: 'Removed', invert: false };
    const changes: Record<string, unknown>[] = [
      { normalizer: { type: 'NFC' } },
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [removes, { type: 'ByteLevel', add_prefix_space: false }] } },
    ];
    for (const [i, change] of changes.entries()) {
      const { charactersPerToken } = await variant(`shortens-${i}`, {
        tokenizer: (json) => Object.assign(json, change),
      });
      expect(charactersPerToken, JSON.stringify(change)).toBe(128);
    }
  });

  test('gives every text as many tokens as its length demands', async () => {
    const served = await loadTokenizer(join(dirname(tinyDirectory), '../../models/tldr'));
    fc.assert(
      fc.property(text, (value) => {
        expect(served.encodeText(value).length * served.charactersPerToken).toBeGreaterThanOrEqual(value.length);
      }),
    );
    expect(served.charactersPerToken).toBeLessThan(32);
  });

  test('has the size of its vocabulary', () => {
    expect(tiny.vocabularySize).toBe(260);
  });

  test('encodes text to tokens that decode to the same text', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(tiny.decode(tiny.encodeText(value))).toBe(value);
      }),
    );
  });

  test('renders a chat with the special tokens of the template', () => {
    const tokens = tiny.encodeChat([
      { role: 'system', content: 'S' },
      { role: 'user', content: 'Hi' },
    ]);
    expect(tokens.map((token) => (token >= firstSpecial ? token : tiny.decode([token])))).toEqual([
      system,
      'S',
      end,
      user,
      'H',
      'i',
      end,
      assistant,
    ]);
  });

  test('keeps special tokens that a user writes as text, in prompts and in chats', () => {
    fc.assert(
      fc.property(text, fc.constantFrom(...specialTexts, ''), (value, special) => {
        const content = value + special + value;
        expect(tiny.encodeText(content).every((token) => token < firstSpecial)).toBe(true);
        const chat = tiny.encodeChat([{ role: 'user', content }]);
        expect(chat).toEqual([user, ...tiny.encodeText(content), end, assistant]);
      }),
    );
  });

  test('keeps text that would form a special token together with the template as text', async () => {
    const template = "{{ messages[0].content | trim }}{{ 'end|>' }}{{ '<|us' }}{{ messages[1].content }}";
    const tokenizer = await variant('edges', { config: { chat_template: template } });
    const tokens = tokenizer.encodeChat([
      { role: 'user', content: ' a<| ' },
      { role: 'user', content: 'er|>b' },
    ]);
    expect(tokenizer.decode(tokens)).toBe('a<|end|><|user|>b');
    expect(tokens.every((token) => token < firstSpecial)).toBe(true);
  });

  test('lets a template trim the contents and search in them', async () => {
    const template =
      "{% for m in messages %}{{ '<|user|>' + (m.content | trim) }}{% if 'secret' in m.content %}!{% endif %}{% endfor %}";
    const tokenizer = await variant('trim', { config: { chat_template: template } });
    expect(tokenizer.encodeChat([{ role: 'user', content: '  a secret ' }])).toEqual([
      user,
      ...tokenizer.encodeText('a secret!'),
    ]);
  });

  test('strips white space around a special token that asks for it', async () => {
    const tokenizer = await variant('strip', {
      config: { chat_template: "{{ 'a  <|end|>  b' }}" },
      tokenizer: (json: Record<string, unknown>) => {
        const token = (json.added_tokens as Record<string, unknown>[])[0];
        Object.assign(token as object, { lstrip: true, rstrip: true });
      },
    });
    const tokens = tokenizer.encodeChat([{ role: 'user', content: 'x' }]);
    expect(tokens).toEqual([...tokenizer.encodeText('a'), end, ...tokenizer.encodeText('b')]);
  });

  test('puts its beginning-of-sequence token before prompts, but not before completions or chats', async () => {
    const tokenizer = await variant('bos', {
      config: { bos_token: '<|system|>' },
      tokenizer: (json: Record<string, unknown>) => {
        json.post_processor = {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<|system|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: { '<|system|>': { id: '<|system|>', ids: [system], tokens: ['<|system|>'] } },
        };
      },
    });
    expect(tokenizer.encodeText('a')).toEqual([system, ...tiny.encodeText('a')]);
    expect(tokenizer.encodeCompletion('a')).toEqual(tiny.encodeText('a'));
    expect(tokenizer.eosTokenId).toBe(end);
    expect(tokenizer.encodeChat([{ role: 'user', content: 'a' }])).toEqual([
      user,
      ...tiny.encodeText('a'),
      end,
      assistant,
    ]);
  });

  test.each([
    ['a word', 'one'],
    ['a fraction', 1.5],
    ['a negative number', -1],
    ['larger than any vocabulary', 2 ** 40],
    ['null', null],
  ])('is refused if the id of a token is %s', async (_, id) => {
    const refused = variant('ids', {
      tokenizer: (json: Record<string, unknown>) => {
        (json.model as { vocab: Record<string, unknown> }).vocab.zz = id;
      },
    });
    await expect(refused).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining('model.vocab.zz'),
    });
  });

  test.each([
    ['a list', []],
    ['a string', 'a'],
    ['null', null],
  ])('is refused if its vocabulary is %s', async (_, vocab) => {
    const refused = variant('vocabulary', {
      tokenizer: (json: Record<string, unknown>) => {
        (json.model as { vocab: unknown }).vocab = vocab;
      },
    });
    await expect(refused).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringContaining('model.vocab'),
    });
  });

  test('applies merges', async () => {
    const tokenizer = await variant('merges', {
      tokenizer: (json: Record<string, unknown>) => {
        const model = json.model as { merges: string[]; vocab: Record<string, number> };
        model.merges = ['a b', 'ab c'];
        Object.assign(model.vocab, { ab: 260, abc: 261 });
      },
    });
    expect(tokenizer.encodeText('abcab')).toEqual([261, 260]);
    expect(tokenizer.decode([261, 260])).toBe('abcab');
  });

  test('does not apply a merge that makes a special token', async () => {
    const tokenizer = await variant('special-merge', {
      tokenizer: (json: Record<string, unknown>) => {
        const model = json.model as { merges: string[]; vocab: Record<string, number> };
        model.merges = ['a b'];
        model.vocab.ab = 260;
        const settings = { single_word: false, lstrip: false, rstrip: false, normalized: false };
        json.added_tokens = [
          ...(json.added_tokens as object[]),
          { id: 260, content: 'ab', special: true, ...settings },
        ];
      },
    });
    expect(tokenizer.encodeText('ab')).toEqual([...tiny.encodeText('a'), ...tiny.encodeText('b')]);
  });

  test('refuses unknown roles, an empty chat, chats that the template refuses, and any chat without a template', async () => {
    const alien = { role: 'tool', content: 'x' } as unknown as { role: 'user'; content: string };
    expect(() => tiny.encodeChat([{ role: 'user', content: 'a' }, alien])).toThrowError(
      expect.objectContaining({
        code: 'INVALID_REQUEST',
        violations: [expect.objectContaining({ field: 'messages[1].role' })],
      }),
    );
    expect(() => tiny.encodeChat([])).toThrowError(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    const strict = await variant('strict', {
      config: { chat_template: "{{ raise_exception('users first') }}" },
    });
    expect(() => strict.encodeChat([{ role: 'user', content: 'a' }])).toThrowError(/users first/);
    const none = await variant('none', { config: { chat_template: null } });
    expect(() => none.encodeChat([{ role: 'user', content: 'a' }])).toThrowError(/no chat template/);
  });
});

describe('a table of token bytes', () => {
  test('decodes in another thread as the tokenizer does', () => {
    const { vocabularySize, tokenBytes } = tiny;
    const copy = structuredClone(tokenBytes);
    expect(copy.ends).toHaveLength(vocabularySize);
    const ids = Array.from({ length: vocabularySize }, (_, id) => id);
    for (const id of [...ids, vocabularySize, 2 ** 31]) expect(decodeTokens(copy, [id])).toBe(tiny.decode([id]));
    fc.assert(
      fc.property(text, (value) => {
        expect(decodeTokens(copy, tiny.encodeText(value))).toBe(value);
      }),
    );
  });

  test('has no bytes for tokens without text, at any position', () => {
    const utf8 = new TextEncoder();
    const packed = packTokenBytes([
      undefined,
      utf8.encode('é'),
      undefined,
      utf8.encode(''),
      utf8.encode('ab'),
      undefined,
    ]);
    expect(packed.ends).toEqual(Uint32Array.of(0, 2, 2, 2, 4, 4));
    expect([0, 1, 2, 3, 4, 5].map((id) => decodeTokens(packed, [id]))).toEqual(['', 'é', '', '', 'ab', '']);
  });
});

describe('incremental decoding', () => {
  const tokens = fc.array(fc.oneof(fc.integer({ min: 0, max: 260 }), fc.constantFrom(0xf0, 0x9f, 0x98, 0x80, end)), {
    maxLength: 40,
  });

  test('returns pieces that add up to the whole text, for any tokens', () => {
    fc.assert(
      fc.property(tokens, (ids) => {
        const decoder = tiny.createDecoder();
        const pieces = ids.map((id) => decoder.push(id));
        expect(pieces.join('') + decoder.flush()).toBe(tiny.decode(ids));
      }),
    );
  });

  test('returns no piece that ends inside a character', () => {
    fc.assert(
      fc.property(text, (value) => {
        const decoder = tiny.createDecoder();
        let sofar = '';
        for (const id of tiny.encodeText(value)) {
          sofar += decoder.push(id);
          expect(value.startsWith(sofar)).toBe(true);
          expect(sofar).not.toMatch(/\p{Surrogate}/u);
        }
        expect(sofar).toBe(value);
        expect(decoder.flush()).toBe('');
      }),
    );
  });

  test('replaces an unfinished character by U+FFFD only at the end', () => {
    const [a, ...emoji] = tiny.encodeText('a😀') as [number, ...number[]];
    const decoder = tiny.createDecoder();
    expect(decoder.push(a)).toBe('a');
    expect(decoder.push(emoji[0] as number)).toBe('');
    expect(decoder.push(emoji[1] as number)).toBe('');
    expect(decoder.flush()).toBe('\uFFFD');
  });
});
