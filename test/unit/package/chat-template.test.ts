import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChatTemplate } from '../../../src/package/chat-template.js';
import { loadTokenizer } from '../../../src/package/index.js';

const messages = [{ role: 'user' as const, content: '\n a \n' }];

function render(source: string, variables: Record<string, string> = {}): string {
  return new ChatTemplate(source, variables).render(messages);
}

describe('a chat template', () => {
  test.each([
    ["{{ messages[0].content.strip('\n') }}|", ' a |'],
    ["{{ messages[0].content.lstrip('\n') }}|", ' a \n|'],
    ["{{ messages[0].content.rstrip('\n ') }}|", '\n a|'],
    ['{{ messages[0].content.strip() }}|', 'a|'],
    ["{{ 'xyaxy'.strip('yx') }}{{ 'xx'.strip('x') }}|", 'a|'],
    ["{{ ('<think>\n b\n</think>').split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}|", ' b|'],
  ])('strips the characters that it names, as Python does: %j', (source, expected) => {
    expect(render(source)).toBe(expected);
  });

  test('is told that there are no tools and no documents, and of the special tokens that there are', () => {
    const source =
      '{% if tools is none and documents is none %}none{% endif %}{{ bos_token }}{{ pad_token is defined }}';
    expect(render(source, { bos_token: '<s>' })).toBe('none<s>false');
  });

  test('is at fault if the engine cannot render a chat with it, and not if it refuses one itself', () => {
    const gap = (source: string) => new ChatTemplate(source, {}).findGap();
    expect(gap('{{ messages[0].content | center(9) }}')).toContain('center');
    expect(
      gap("{% for m in messages %}{% if m.role == 'system' %}{{ m.content.casefold() }}{% endif %}{% endfor %}"),
    ).toContain('function');
    expect(
      gap(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}",
      ),
    ).toBeNull();
    expect(gap("{{ raise_exception('never') }}")).toBeNull();
    expect(gap("{{ messages[1].content + 'x' }}")).toBeNull();
  });
});

const kit = process.env.HONE_KIT ?? '';
const families = kit === '' ? [] : readdirSync(kit).filter((name) => name !== 'odd');

describe.skipIf(families.length === 0)('the tokenizers of the kit in HONE_KIT', () => {
  test.each(families)('%s is read, keeps its texts and writes no special token', async (family) => {
    const directory = join(kit, family, 'checkpoint');
    const tokenizer = await loadTokenizer(directory);
    const { added_tokens: added } = JSON.parse(readFileSync(join(directory, 'tokenizer.json'), 'utf8'));
    const special = (added as { id: number; content: string; special: boolean }[]).filter((token) => token.special);
    for (const { content } of [...special, { content: ' Hé, 日本 👋\n\t ' }]) {
      const tokens = tokenizer.encodeCompletion(`a ${content} b`);
      expect(tokenizer.decode(tokens, 'continued')).toBe(`a ${content} b`);
      expect(special.filter(({ id }) => tokens.includes(id))).toEqual([]);
    }
  });
});
