/** Generates posts. The author describes what another person keeps doing, and asks whether to do something about it. */
import { domainNames, domains, pronounOf } from './domains.js';
import { createFact, drawValue } from './facts.js';
import type { Pronoun } from './lexicon.js';
import * as phrases from './phrases.js';
import { createRandom, hashText, type Random } from './random.js';
import { type DomainName, type Fact, type FactKind, factKinds, type Post, type Split } from './types.js';

/** One of this number of combinations is held out. */
const heldOutShare = 8;

const extraKinds: readonly FactKind[] = ['place', 'amount', 'feeling', 'excuse'];

/** Returns the split of a combination of facts, from a hash of who, object and option. */
export function splitOf(facts: readonly Fact[]): Split {
  const key = facts.filter((fact) => fact.kind === 'who' || fact.kind === 'object' || fact.kind === 'option');
  return hashText(key.map((fact) => fact.value).join('|')) % heldOutShare === 0 ? 'held-out' : 'train';
}

/**
 * Creates the post of a seed. Equal seeds give equal posts.
 *
 * @param seed an integer of at least 0; each split has its own posts
 * @param split held-out posts have combinations of who, object and option that no training post has; default `train`
 */
export function createPost(seed: number, split: Split = 'train'): Post {
  const random = createRandom(seed, `post ${split}`);
  const domain = random.pick(domainNames);
  const extras = random.shuffle(extraKinds).slice(0, random.chance(0.5) ? 1 : 2);
  let facts: readonly Fact[];
  do facts = drawFacts(domain, extras, random);
  while (splitOf(facts) !== split);
  return { text: writePost(facts, domain, random), domain, facts };
}

function drawFacts(domain: DomainName, extras: readonly FactKind[], random: Random): readonly Fact[] {
  return factKinds
    .filter((kind) => !extraKinds.includes(kind) || extras.includes(kind))
    .map((kind) => createFact(kind, drawValue(kind, domains[domain], random)));
}

function writePost(facts: readonly Fact[], domain: DomainName, random: Random): string {
  const has = (kind: FactKind): boolean => facts.some((fact) => fact.kind === kind);
  const head: string[] = [];
  if (random.chance(0.3)) head.push(random.pick(phrases.introductions), random.pick(phrases.pronounProblems));
  else {
    if (random.chance(0.2)) head.push(random.pick(phrases.greetings));
    head.push(random.pick(phrases.problemSentences));
  }
  const body = [random.pick(phrases.durationSentences)];
  if (has('place')) body.push(random.pick(phrases.placeSentences));
  if (has('amount')) body.push(random.pick(phrases.amountSentences));
  if (has('feeling')) body.push(random.pick(phrases.feelingSentences));
  if (has('excuse')) body.push(random.pick(phrases.excuseSentences));
  body.push(...random.shuffle(phrases.fillers).slice(0, random.chance(0.4) ? 2 : 1));
  const question = random.pick(phrases.questions);
  const sentences = [...head, ...random.shuffle(body)];
  if (random.chance(0.1)) sentences.unshift(question);
  else sentences.push(question);
  if (random.chance(0.25)) sentences.push(random.pick(phrases.closings));
  return fillIn(sentences.join(' '), facts, domain);
}

/** Replaces the placeholders of a template by facts and pronouns. */
function fillIn(template: string, facts: readonly Fact[], domain: DomainName): string {
  const values: Record<string, string> = Object.fromEntries(facts.map((fact) => [fact.kind, fact.value]));
  const pronoun = pronounOf(values.who as string);
  const words: Record<string, string> = {
    ...values,
    ...pronounWords(pronoun),
    in: domains[domain].places[values.place ?? ''] ?? '',
  };
  return template.replace(/\{(\w+)\}/g, (_, name: string) => words[name] as string);
}

/** Returns the pronoun and the verbs that agree with it, by their names in templates. */
export function pronounWords(pronoun: Pronoun): Record<string, string> {
  const plural = pronoun === 'they';
  return {
    they: pronoun,
    They: `${(pronoun[0] as string).toUpperCase()}${pronoun.slice(1)}`,
    them: pronoun === 'he' ? 'him' : pronoun === 'she' ? 'her' : 'them',
    be: plural ? 'are' : 'is',
    keep: plural ? 'keep' : 'keeps',
    say: plural ? 'say' : 'says',
    ask: plural ? 'ask' : 'asks',
  };
}
