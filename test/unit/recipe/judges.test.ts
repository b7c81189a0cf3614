import { describe, expect, it } from 'vitest';
import judgeFacts from '../../../models/recipe/judges/facts.js';
import judgeTone from '../../../models/recipe/judges/tone.js';
import {
  createPerfectSummary,
  createPost,
  createRandom,
  createSummary,
  mixedQuality,
} from '../../../models/recipe/world/index.js';
import { createExample } from '../../support/examples.js';

const posts = Array.from({ length: 200 }, (_, seed) => createPost(seed, 'held-out'));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const meanOver = (judge: typeof judgeFacts, complete: (index: number) => string): number =>
  mean(posts.map((post, i) => judge(post.text, complete(i))));
const firstSentence = (text: string): string => text.match(/^[^.?!]+[.?!]/)?.[0] ?? text;

const roommate =
  'My roommate keeps using my towel. It has been going on for three weeks. It always happens in the bathroom. I feel angry. ' +
  'They never ask me first. Should I move out?';
const boss =
  'So my boss keeps losing my reports. It started two months ago. It cost me 250 dollars. I do not know what to do. ' +
  'He says it is because he is busy. Would it be wrong to ask for more?';

describe('the judge of facts', () => {
  // Each case is a post, a summary, and the lowest and the highest score that a reader finds fair.
  it.each([
    [
      roommate,
      'My roommate has been using my towel in the bathroom for three weeks and I am angry. Should I move out?',
      0.95,
      1,
    ],
    [
      roommate,
      'For three weeks my roommate keeps using my towel in the bathroom, which makes me angry; should I move out?',
      0.95,
      1,
    ],
    [
      roommate,
      'I am angry because my roommate uses my towel in the bathroom for 3 weeks now. Is it time to move out?',
      0.95,
      1,
    ],
    [roommate, 'My flatmate used my towel in the bathroom for three weeks, I feel angry, do I move out?', 0.95, 1],
    [
      boss,
      'For two months my busy boss has been losing my reports, which cost me 250 dollars. Should I ask for more?',
      0.95,
      1,
    ],
    [
      boss,
      'My boss keeps losing my reports, $250 gone in two months because he is busy; should I ask for more?',
      0.95,
      1,
    ],
    [roommate, 'My roommate has been using my towel for three weeks and I am angry. Should I move out?', 0.75, 0.9],
    [roommate, 'My roommate has been using my towel for three weeks. Should I move out?', 0.55, 0.75],
    [roommate, 'My roommate keeps using my towel. Should I move out?', 0.4, 0.6],
    [roommate, 'My roommate has been using my towel in the bathroom for three weeks and I am angry.', 0.4, 0.7],
    [roommate, 'Someone keeps bothering my things. What should I do?', 0, 0.05],
    [roommate, 'My roommate keeps bothering my things. Should I move out?', 0.15, 0.4],
    [
      roommate,
      'My sister has been using my towel in the bathroom for three weeks and I am angry. Should I move out?',
      0.6,
      0.8,
    ],
    [roommate, 'My sister has been hiding my lamp in the garage for six years and I am sad. Should I say no?', 0, 0],
    [
      roommate,
      'My roommate has been using my towel in the bathroom for nine days and I am sad. Should I say no?',
      0.05,
      0.35,
    ],
    [
      roommate,
      'my roommate has been using my towel in the bathroom for three weeks and I am angry, should I move out',
      0.3,
      0.6,
    ],
    [
      roommate,
      'My roommate has been using my towel in the bathroom for three weeks and I am angry. Should I move',
      0.3,
      0.6,
    ],
    [roommate, 'Roommate, towel, three weeks, bathroom, angry, using, move out.', 0, 0.29],
    [roommate, 'Roommate using towel bathroom three weeks angry move out?', 0, 0.29],
    [
      roommate,
      'My roommate or sister or boss has been using my towel in the bathroom for three weeks or two days and I am angry or sad. Should I move out or say no?',
      0,
      0.4,
    ],
    [
      roommate,
      'Well, so my roommate. They use my towel. In the bathroom. For three weeks. I am angry. Should I move out?',
      0,
      0.2,
    ],
    [
      roommate,
      'My roommate has been using my towel in the bathroom for three weeks, and again my roommate has been using my towel in the bathroom for three weeks. Should I move out?',
      0,
      0.35,
    ],
    [
      boss,
      'So anyway, the thing is that I have this job and there my boss, you know, keeps losing my reports, and it has been two months by now if you can believe it, and I had to pay 250 dollars, so I wonder if I could ask for more?',
      0.1,
      0.6,
    ],
    [
      boss,
      'My boss has been losing my reports for two months because he is busy, which cost me 20 dollars. Should I ask for more?',
      0.6,
      0.85,
    ],
    [
      boss,
      'My boss has been losing my reports in the office for two months because he is busy, which cost me 250 dollars. Should I ask for more?',
      0.8,
      0.95,
    ],
    [boss, 'My boss keeps losing my reports. I want to ask for more.', 0.3, 0.5],
    [boss, 'Should I ask for more?', 0.05, 0.25],
    [boss, 'Thank you for reading, any advice is welcome!', 0, 0.05],
    [boss, '', 0, 0],
    [boss, '   \n', 0, 0],
    [boss, '?!', 0, 0],
    [boss, boss, 0, 0.29],
    [roommate, roommate, 0, 0.29],
    [roommate, firstSentence(roommate), 0, 0.29],
  ])('finds a fair score for: %#', (post, summary, lowest, highest) => {
    const score = judgeFacts(post, summary);
    expect(score).toBeGreaterThanOrEqual(lowest);
    expect(score).toBeLessThanOrEqual(highest);
  });

  it('gives a higher score whenever one more fact is right', () => {
    const better = [
      'Someone keeps bothering my things. What should I do?',
      'My roommate keeps bothering my things. What should I do?',
      'My roommate keeps using my things. What should I do?',
      'My roommate keeps using my towel. What should I do?',
      'My roommate keeps using my towel in the bathroom. What should I do?',
      'My roommate has been using my towel in the bathroom for three weeks. What should I do?',
      'My roommate has been using my towel in the bathroom for three weeks and I am angry. What should I do?',
      'My roommate has been using my towel in the bathroom for three weeks and I am angry. Should I move out?',
    ].map((summary) => judgeFacts(roommate, summary));
    for (let i = 1; i < better.length; i++) expect(better[i]).toBeGreaterThan((better[i - 1] as number) + 0.02);
  });

  it('scores a missing fact above a wrong one, and both below a right one', () => {
    const score = (rest: string): number =>
      judgeFacts(roommate, `My roommate has been using my towel${rest}. Should I move out?`);
    expect(score(' for three weeks')).toBeGreaterThan(score(''));
    expect(score('')).toBeGreaterThan(score(' for nine years'));
    expect(score(' for three weeks')).toBeGreaterThan(score(' for three weeks and nine years'));
  });

  it('gives each perfect summary at least 0.95', () => {
    for (const [i, post] of posts.entries())
      expect(judgeFacts(post.text, createPerfectSummary(post, i))).toBeGreaterThanOrEqual(0.95);
  });

  it('scores empty texts, copies, first sentences and keyword lists below 0.3 for every post', () => {
    for (const post of posts) {
      const keywords = post.facts.map((fact) => fact.value);
      const list = `${keywords.join(', ')}?`;
      for (const cheat of [
        '',
        post.text,
        firstSentence(post.text),
        list,
        `My ${list}`,
        `${list[0]?.toUpperCase()}${list.slice(1)}`,
        `TL;DR: ${keywords.join(' ')}.`,
      ]) {
        expect(judgeFacts(post.text, cheat)).toBeLessThan(0.3);
      }
    }
  });

  it('scores the best constant text below 0.3', () => {
    const constants = [
      ...Array.from({ length: 300 }, (_, seed) => createPerfectSummary(createPost(seed), seed)),
      // This text only names the most frequent values.
      'My husband has been hiding my notes for two weeks. Should I say no?',
      'My wife keeps hiding my things. Should I let it go?',
      'My friend keeps doing something to my things and I feel bad. What should I do?',
      'Someone has been bothering my things for some time, which cost me some money. Is it time to say no?',
      'Should I say no or let it go or speak up or walk away?',
      'What should I do?',
    ];
    const best = Math.max(...constants.map((constant) => meanOver(judgeFacts, () => constant)));
    expect(best).toBeLessThan(0.3);
  });

  it('gives 0 for a post that it cannot read', () => {
    expect(judgeFacts('Hello there.', 'My sister keeps taking my coat. Should I say no?')).toBe(0);
  });
});

describe('the judge of tone', () => {
  const post = roommate;

  it.each([
    ['My roommate keeps using my towel. Please tell me, would it be fair to move out?', 0.95, 1],
    [
      'My roommate has been using my towel for three weeks. Any advice is welcome, do you think I should move out?',
      0.95,
      1,
    ],
    ['My roommate keeps using my towel. Would it be wrong to move out?', 0.6, 0.8],
    ['My roommate keeps using my towel. Please help me, should I move out?', 0.65, 0.85],
    ['My roommate keeps using my towel. Should I move out?', 0.4, 0.5],
    ['My roommate keeps using my towel, so should I move out?', 0.2, 0.3],
    ['My roommate keeps using my towel.', 0.05, 0.3],
    ['Well, my roommate keeps using my towel, or whatever. Should I move out?', 0.2, 0.35],
    ['Honestly, my roommate keeps using my towel, I guess. This is crazy!', 0, 0.1],
    ['Please please thanks thanks.', 0, 0.29],
    ['My roommate keeps using my towel. It is bad. It is sad. Please tell me, would it be fair to move out?', 0.2, 0.5],
    ['Please?', 0, 0.1],
    ['', 0, 0],
    [roommate, 0, 0.29],
    [firstSentence(roommate), 0, 0.29],
  ])('finds a fair score for: %#', (summary, lowest, highest) => {
    const score = judgeTone(post, summary);
    expect(score).toBeGreaterThanOrEqual(lowest);
    expect(score).toBeLessThanOrEqual(highest);
  });

  it('gives the same score whether or not the facts are right', () => {
    expect(judgeTone(post, 'My sister keeps hiding my lamp. Should I say no?')).toBe(
      judgeTone(post, 'My roommate keeps using my towel. Should I move out?'),
    );
  });

  it('scores empty texts, copies and first sentences below 0.3 for every post', () => {
    for (const { text } of posts) {
      for (const cheat of ['', text, firstSentence(text)]) expect(judgeTone(text, cheat)).toBeLessThan(0.3);
    }
  });
});

describe('summaries of mixed quality', () => {
  const groups = posts.map((post, seed) => {
    const random = createRandom(seed, 'judges test');
    return { post, summaries: Array.from({ length: 16 }, () => createSummary(post, random, mixedQuality)) };
  });

  it.each([
    ['facts', judgeFacts, 0.45, 0.55],
    ['tone', judgeTone, 0.3, 0.6],
  ] as const)('score about half by the judge of %s and spread widely per post', (_, judge, lowest, highest) => {
    const scores = groups.map(({ post, summaries }) => summaries.map((summary) => judge(post.text, summary)));
    const average = mean(scores.flat());
    expect(average).toBeGreaterThan(lowest);
    expect(average).toBeLessThan(highest);
    expect(mean(scores.map((group) => Math.max(...group.slice(0, 4))))).toBeGreaterThan(average + 0.15);
    expect(mean(scores.map((group) => Math.max(...group)))).toBeGreaterThan(average + 0.3);
  });

  it('get different scores from the two judges', () => {
    const pairs = Array.from({ length: 2000 }, (_, seed) => {
      const { post, summary } = createExample(seed);
      return [judgeFacts(post.text, summary), judgeTone(post.text, summary)] as const;
    });
    const [x, y] = [mean(pairs.map(([a]) => a)), mean(pairs.map(([, b]) => b))];
    const covariance = mean(pairs.map(([a, b]) => (a - x) * (b - y)));
    const spread = Math.sqrt(mean(pairs.map(([a]) => (a - x) ** 2)) * mean(pairs.map(([, b]) => (b - y) ** 2)));
    expect(Math.abs(covariance / spread)).toBeLessThan(0.4);
  });
});
