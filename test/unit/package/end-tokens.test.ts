/** The tokens that end a completion: of which files they come, and what ends a turn in chat templates. */

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { ChatTemplate } from '../../../src/package/chat-template.js';
import { type AddedToken, findTurnEnd } from '../../../src/package/end-tokens.js';
import { loadPackage } from '../../../src/package/index.js';
import { templateStyles } from '../../support/chat-templates.js';
import { temporaryFolder } from '../../support/folders.js';
import { set } from '../../support/package-edits.js';
import { tinyDirectory } from '../../support/tiny.js';

/** Special tokens of the tiny package. Its template ends a turn with `<|end|>`, and so do its files. */
const [end, user, assistant, system] = [256, 257, 258, 259] as const;

const config = (eos: unknown) => set('config.json', 'eos_token_id', eos);
const generation = (eos: unknown) => set('generation_config.json', 'eos_token_id', eos);
const tokenizer = (eos: unknown) => set('tokenizer_config.json', 'eos_token', eos);
const template = (source: string | undefined) => set('tokenizer_config.json', 'chat_template', source);

let directory: string;

beforeEach(async () => {
  directory = join(temporaryFolder(), 'tiny');
  await cp(tinyDirectory, directory, { recursive: true });
});

async function endsAfter(...changes: readonly ((directory: string) => Promise<void>)[]) {
  for (const change of changes) await change(directory);
  const { eosTokenIds, turnEndTokenId, textEndTokenId } = (await loadPackage(directory)).config;
  return { all: [...eosTokenIds].sort((a, b) => a - b), turn: turnEndTokenId, text: textEndTokenId };
}

describe('the end tokens of a package', () => {
  test('are those of all three files together', async () => {
    expect(await endsAfter(config(user), generation(assistant), tokenizer('<|system|>'), template(undefined))).toEqual({
      all: [user, assistant, system],
      turn: system,
      text: system,
    });
  });

  test.each<[string, (directory: string) => Promise<void>, number]>([
    ['config.json', config(user), user],
    ['a list in config.json', config([user]), user],
    ['text_config of config.json', set('config.json', 'text_config', { eos_token_id: [user] }), user],
    ['generation_config.json', generation(user), user],
    ['tokenizer_config.json', tokenizer('<|user|>'), user],
    ['an object in tokenizer_config.json', tokenizer({ content: '<|user|>', special: true }), user],
  ])('have the one of %s beside the others', async (_, change, token) => {
    expect((await endsAfter(change)).all).toEqual([end, token]);
  });

  test.each<[string, unknown, unknown, unknown]>([
    ['config.json', user, undefined, null],
    ['generation_config.json', null, [user, user], undefined],
    ['tokenizer_config.json', [], undefined, '<|user|>'],
  ])('are found if only %s names one', async (_, inConfig, inGeneration, inTokenizer) => {
    const ends = await endsAfter(
      config(inConfig),
      generation(inGeneration),
      tokenizer(inTokenizer),
      template('{{ messages[0].content }}'),
    );
    expect(ends).toEqual({ all: [user], turn: user, text: user });
  });

  test('have what ends a turn in the template, though no file names it; a plain text still ends as the tokenizer says', async () => {
    const ends = await endsAfter(config(user), generation(user), tokenizer('<|user|>'));
    expect(ends).toEqual({ all: [end, user], turn: end, text: user });
  });

  test('end a chat with the end of a turn when the tokenizer names another token', async () => {
    expect(await endsAfter(tokenizer('<|system|>'))).toEqual({ all: [end, system], turn: end, text: system });
  });

  test('have to be named by a file: a template alone is not enough', async () => {
    await expect(endsAfter(config(undefined), generation(null), tokenizer(null))).rejects.toMatchObject({
      code: 'PACKAGE_INVALID',
      message: expect.stringMatching(
        /config\.json: names no end token.*generation_config\.json.*tokenizer_config\.json.*add eos_token_id.*ends a turn with token 256/,
      ),
    });
  });

  test.each<[string, (directory: string) => Promise<void>, readonly string[]]>([
    ['a negative number', config(-1), ['config.json', 'eos_token_id', 'a whole number of at least 0']],
    ['a text for a number', generation('<|end|>'), ['generation_config.json', 'eos_token_id']],
    ['a fraction', config(1.5), ['config.json', 'eos_token_id']],
    ['true', config(true), ['config.json', 'eos_token_id']],
    ['a list that holds null', generation([end, null]), ['generation_config.json', 'eos_token_id']],
    ['a list in a list', config([[end]]), ['config.json', 'eos_token_id']],
    ['a bad one in text_config', set('config.json', 'text_config', { eos_token_id: -1 }), ['text_config.eos_token_id']],
    ['one beyond the tokenizer', config([end, 260]), ['config.json', 'eos_token_id is 260', '259']],
    ['one far beyond the tokenizer', generation(99_999), ['generation_config.json', 'eos_token_id is 99999']],
    ['a text that is no token', tokenizer('<|eot|>'), ['has no token "<|eot|>"', 'tokenizer_config.json']],
    ['an empty text', tokenizer(''), ['has no token ""', 'eos_token']],
    ['a number for a text', tokenizer(256), ['tokenizer_config.json', 'eos_token', 'must be the text of a token']],
  ])('are refused if a file names %s', async (_, change, mentions) => {
    const error = await endsAfter(change).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ code: 'PACKAGE_INVALID' });
    for (const words of mentions) expect(error.message).toContain(words);
  });

  test('may be a token of the vocabulary that is not listed as an added one', async () => {
    expect((await endsAfter(tokenizer('a'))).all).toEqual(['a'.charCodeAt(0), end]);
  });
});

/** Added tokens with ids from 0, special unless they are named. */
function addedTokens(contents: readonly string[], plain: readonly string[] = []): AddedToken[] {
  return contents.map((content, id) => ({ id, content, special: !plain.includes(content) }));
}

/** The text of the token that ends a turn. */
function turnEnd(
  source: string,
  contents: readonly string[],
  ends: readonly string[] = [],
  plain: readonly string[] = [],
) {
  const added = addedTokens(contents, plain);
  const variables = { bos_token: '<s>', eos_token: '</s>' };
  const found = findTurnEnd(
    new ChatTemplate(source, variables),
    added,
    ends.map((content) => contents.indexOf(content)),
  );
  return found === null ? null : contents[found];
}

describe('what ends a turn in a chat template', () => {
  test.each(templateStyles.map((style) => [style.name, style] as const))('is found in the style of %s', (_, style) => {
    const expected = { ChatML: '<|im_end|>', 'Llama 3': '<|eot_id|>', Mistral: '</s>', Gemma: '<end_of_turn>' }[
      style.name
    ];
    expect(turnEnd(style.template, style.special)).toBe(expected);
  });

  test('is the token behind the answer, and not what the template writes at the end of the chat', () => {
    const source =
      "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}";
    const tokens = ['<|endoftext|>', '<|end|>', '<|user|>', '<|assistant|>'];
    expect(turnEnd(source, tokens, ['<|endoftext|>'])).toBe('<|end|>');
  });

  test('may stand behind white space', () => {
    const source = "{% for m in messages %}{{ '[INST] ' + m.content + ' ' + eos_token }}{% endfor %}";
    expect(turnEnd(source, ['<s>', '</s>'])).toBe('</s>');
  });

  test('is found in a template that strips the answer and writes a thought before it', () => {
    const source =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{{ '<think>\n\n</think>\n\n' + m.content.split('</think>')[-1] | trim }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}";
    expect(turnEnd(source, ['<|im_start|>', '<|im_end|>', '<think>'])).toBe('<|im_end|>');
  });

  test('is the longest token of those that fit', () => {
    const source = "{% for m in messages %}{{ m.content + '<|end|>' }}{% endfor %}";
    expect(turnEnd(source, ['<|end', '<|end|>'])).toBe('<|end|>');
  });

  test('may be no special token if the files name it as an end token', () => {
    const source = "{% for m in messages %}{{ m.content + '<end>' }}{% endfor %}";
    expect(turnEnd(source, ['<end>'], [], ['<end>'])).toBeNull();
    expect(turnEnd(source, ['<end>'], ['<end>'], ['<end>'])).toBe('<end>');
  });

  test('is nothing in a template that writes text behind an answer, refuses the chat or changes the answer', () => {
    const tokens = ['<|end|>'];
    expect(turnEnd('{% for m in messages %}{{ m.content }}\n{% endfor %}', tokens)).toBeNull();
    expect(turnEnd("{% for m in messages %}{{ m.content + '### End<|end|>' }}{% endfor %}", tokens)).toBeNull();
    expect(turnEnd("{{ raise_exception('no chats') }}", tokens)).toBeNull();
    expect(turnEnd("{% for m in messages %}{{ m.content | upper + '<|end|>' }}{% endfor %}", tokens)).toBeNull();
  });

  test('is an end token that a template writes only between turns, but never the start of the next turn', () => {
    const between =
      "{% for m in messages %}{{ m.content }}{% if not loop.last %}{{ '<|end|>' }}{% endif %}{% endfor %}";
    expect(turnEnd(between, ['<|end|>'], ['<|end|>'])).toBe('<|end|>');
    const roles = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}";
    expect(turnEnd(roles, ['<|user|>', '<|assistant|>', '</s>'], ['</s>'])).toBeNull();
    expect(turnEnd(roles, ['<|user|>', '<|assistant|>', '</s>'], ['</s>', '<|user|>'])).toBe('<|user|>');
  });
});
