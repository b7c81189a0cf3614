import { describe, expect, it } from 'vitest';
import { domainNames, domains, peopleOf } from '../../../models/recipe/world/domains.js';
import {
  createPerfectSummary,
  createPost,
  createRandom,
  createSummary,
  findValues,
  lexicon,
  parsePost,
  perfectQuality,
  splitOf,
  wordsOf,
} from '../../../models/recipe/world/index.js';
import * as postPhrases from '../../../models/recipe/world/phrases.js';
import * as summaryPhrases from '../../../models/recipe/world/summary-phrases.js';
import { createExample, formatExamples } from '../../support/examples.js';

const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Returns all strings in a module of phrases. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

describe('posts', () => {
  it('are equal for equal seeds, and differ between seeds and splits', () => {
    expect(createPost(7)).toEqual(createPost(7));
    expect(createPost(7).text).not.toBe(createPost(8).text);
    expect(createPost(7).text).not.toBe(createPost(7, 'held-out').text);
    expect(new Set(seeds(5000).map((seed) => createPost(seed).text)).size).toBe(5000);
  });

  it('of the held-out split share no text and no combination of facts with 50,000 training posts', () => {
    const training = seeds(50_000).map((seed) => createPost(seed));
    const texts = new Set(training.map((post) => post.text));
    expect(texts.size).toBeGreaterThan(49_990);
    const heldOut = seeds(1000).map((seed) => createPost(seed, 'held-out'));
    expect(heldOut.filter((post) => texts.has(post.text))).toEqual([]);
    expect(heldOut.every((post) => splitOf(post.facts) === 'held-out')).toBe(true);
    expect(training.every((post) => splitOf(post.facts) === 'train')).toBe(true);
  });

  it('have six or seven facts, each once in the text, and come from every domain', () => {
    const posts = seeds(1000).map((seed) => createPost(seed));
    for (const { facts, text } of posts) {
      expect(facts.length === 6 || facts.length === 7).toBe(true);
      expect(new Set(facts.map((fact) => fact.kind)).size).toBe(facts.length);
      const words = ` ${wordsOf(text).join(' ')} `;
      for (const { value } of facts) expect(words.split(` ${value} `).length).toBe(2);
      expect(text).not.toMatch(/[{}]|undefined| {2}/);
    }
    expect(new Set(posts.map((post) => post.domain)).size).toBe(domainNames.length);
  });

  it('are parsed into exactly their facts', () => {
    for (const split of ['train', 'held-out'] as const) {
      for (const seed of seeds(1000)) {
        const post = createPost(seed, split);
        expect(parsePost(post.text)).toEqual(post.facts);
      }
    }
  });

  it('of another world are not recognised as posts', () => {
    expect(parsePost('')).toBeNull();
    expect(parsePost('The morning was cold and clear.')).toBeNull();
    expect(parsePost('My sister keeps taking my coat.')).toBeNull();
  });
});

describe('the lexicon', () => {
  it('has each value in one kind only', () => {
    let values = 0;
    const kinds = new Map<string, string>();
    for (const name of domainNames) {
      const domain = domains[name];
      for (const [kind, words] of [
        ['who', peopleOf(domain)],
        ['action', Object.keys(domain.actions)],
        ['object', domain.objects],
        ['place', Object.keys(domain.places)],
        ['option', domain.options],
      ] as const) {
        for (const word of words) {
          expect(kinds.get(word) ?? kind).toBe(kind);
          expect(lexicon.get(word)).toBe(kind);
          kinds.set(word, kind);
          values++;
        }
      }
    }
    expect(values).toBeGreaterThan(200);
    for (const kind of ['who', 'action', 'object', 'place', 'option']) {
      expect([...lexicon.values()].filter((other) => other === kind).length).toBeGreaterThanOrEqual(20);
    }
  });

  it('shares no word with the phrases around the facts', () => {
    for (const text of [...textsOf(postPhrases), ...textsOf(summaryPhrases)]) {
      expect([text, [...findValues(text.replace(/\{\w+\}/g, ','))]]).toEqual([text, []]);
    }
  });
});

describe('summaries', () => {
  it('that are perfect have every fact and nothing else', () => {
    for (const seed of seeds(300)) {
      const post = createPost(seed);
      const told = findValues(createPerfectSummary(post, seed));
      expect(Object.fromEntries(told)).toEqual(Object.fromEntries(post.facts.map((fact) => [fact.kind, [fact.value]])));
    }
  });

  it('of mixed quality have each fact right, wrong or not at all, independently of other facts and of the first word', () => {
    const told = { right: 0, wrong: 0, none: 0 };
    let bothRight = 0;
    let whoRight = 0;
    let optionRight = 0;
    const byFirstWord = new Map<string, { right: number; all: number }>();
    const count = 6000;
    for (const seed of seeds(count)) {
      const { post, summary } = createExample(seed);
      const found = findValues(summary);
      const isRight = (kind: 'who' | 'option'): boolean =>
        found.get(kind)?.[0] === post.facts.find((fact) => fact.kind === kind)?.value;
      for (const { kind, value } of post.facts) {
        const values = found.get(kind) ?? [];
        told[values.includes(value) ? 'right' : values.length > 0 ? 'wrong' : 'none']++;
      }
      if (isRight('who')) whoRight++;
      if (isRight('option')) optionRight++;
      if (isRight('who') && isRight('option')) bothRight++;
      const first = summary.split(' ')[0] as string;
      const entry = byFirstWord.get(first) ?? { right: 0, all: 0 };
      byFirstWord.set(first, { right: entry.right + (isRight('option') ? 1 : 0), all: entry.all + 1 });
    }
    const all = told.right + told.wrong + told.none;
    expect(told.right / all).toBeCloseTo(0.68, 1);
    expect(told.wrong / all).toBeCloseTo(0.08, 1);
    expect(bothRight / count).toBeCloseTo((whoRight / count) * (optionRight / count), 1);
    for (const { right, all: times } of byFirstWord.values()) {
      if (times > 300) expect(Math.abs(right / times - optionRight / count)).toBeLessThan(0.08);
    }
  });

  it('have the quality that the caller asks for', () => {
    const post = createPost(3);
    const courteous = { ...perfectQuality, courtesy: 1 };
    const stated = { ...perfectQuality, statement: 1 };
    for (const seed of seeds(50)) {
      expect(createSummary(post, createRandom(seed), courteous)).toMatch(/please|welcome/i);
      expect(createSummary(post, createRandom(seed), stated)).toMatch(/\.$/);
    }
  });

  it('are equal for equal seeds', () => {
    expect(createExample(11)).toEqual(createExample(11));
    expect(createExample(11).prompt).toBe(createExample(11).post.text);
    const text = formatExamples(20);
    expect(text.match(/->/g)).toHaveLength(20);
    expect(text).toContain(createExample(19).summary);
  });
});
