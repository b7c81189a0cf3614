import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import {
  byteAlphabet,
  chatTemplate,
  specialTokens,
  tokenizerFiles,
  trainBytePairs,
  trainTokenizer,
  vocabularySize,
} from '../../../models/recipe/tokenizer/index.js';
import { createExample } from '../../support/examples.js';

const files = tokenizerFiles(trainTokenizer(), 512);
// The files go through JSON, because a model folder stores them as JSON.
const tokenizer = new Tokenizer(
  JSON.parse(JSON.stringify(files['tokenizer.json'])),
  JSON.parse(JSON.stringify(files['tokenizer_config.json'])),
);
const idsOf = (text: string): number[] => tokenizer.encode(text).ids;
const examples = Array.from({ length: 400 }, (_, seed) => createExample(seed, 'held-out'));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('byte-pair training', () => {
  it('joins the most frequent pair first, and stops if no pair occurs twice', () => {
    const { tokens, merges } = trainBytePairs([{ text: 'ab ab ab abc', weight: 1 }], 1000);
    expect(merges[0]).toEqual(['a', 'b']);
    expect(merges[1]).toEqual(['Ġ', 'ab']);
    expect(merges).toHaveLength(2);
    expect(tokens).toHaveLength(258);
  });

  it('counts a text by its weight', () => {
    const texts = [
      { text: 'xyxy', weight: 1 },
      { text: 'pq', weight: 5 },
    ];
    expect(trainBytePairs(texts, 257).merges).toEqual([['p', 'q']]);
  });

  it('has a distinct printable character for each byte', () => {
    expect(new Set(byteAlphabet).size).toBe(256);
    expect(byteAlphabet[0x20]).toBe('Ġ');
    expect(byteAlphabet[0x0a]).toBe('Ċ');
  });

  it('gives the same vocabulary for the same texts', () => {
    expect(trainTokenizer(300)).toEqual(trainTokenizer(300));
  });
});

describe('the tokenizer of the default policy', () => {
  it('has 1024 tokens, the special ones first', () => {
    const { model } = files['tokenizer.json'] as { model: { vocab: Record<string, number> } };
    expect(Object.keys(model.vocab)).toHaveLength(vocabularySize);
    expect(new Set(Object.values(model.vocab)).size).toBe(vocabularySize);
    for (const [id, token] of specialTokens.entries()) expect(idsOf(token)).toEqual([id]);
  });

  it('decodes each encoded text to the same text', () => {
    const others = [
      'héllo wörld, 你好',
      '🎉👩‍👩‍👧 fun',
      'a\n\n  b\tc   d ',
      "don't we'll I'm 's",
      '\u0000\u007f\u0080ÿ',
      '$1,250.50?!',
    ];
    for (const text of [...others, ...examples.flatMap(({ prompt, summary }) => [prompt, summary])]) {
      expect(tokenizer.decode(idsOf(text), { skip_special_tokens: false })).toBe(text);
    }
  });

  it('encodes most values of facts as one token, and posts and summaries as few', () => {
    const words = examples.flatMap(({ post }) => post.facts.flatMap((fact) => fact.value.split(' ')));
    const lengths = words.map((word) => idsOf(` ${word}`).length);
    expect(lengths.filter((length) => length === 1).length / words.length).toBeGreaterThan(0.8);
    expect(lengths.filter((length) => length <= 2).length / words.length).toBeGreaterThan(0.88);
    const posts = examples.map(({ prompt }) => idsOf(prompt).length);
    expect(mean(posts)).toBeGreaterThan(40);
    expect(mean(posts)).toBeLessThan(70);
    expect(Math.max(...posts)).toBeLessThan(110);
    expect(mean(examples.map(({ summary }) => idsOf(summary).length))).toBeLessThan(35);
  });

  it('renders each message between its role and the end token', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello.' },
    ];
    const rendered = new Template(chatTemplate).render({ messages, add_generation_prompt: true });
    expect(rendered).toBe('<|system|>Be brief.<|end|><|user|>Hello.<|end|><|assistant|>');
    const [system, end] = [specialTokens.indexOf('<|system|>'), specialTokens.indexOf('<|end|>')];
    const ids = idsOf(rendered);
    expect(ids[0]).toBe(system);
    expect(ids.filter((id) => id === end)).toHaveLength(2);
    expect(ids.at(-1)).toBe(specialTokens.indexOf('<|assistant|>'));
  });
});
