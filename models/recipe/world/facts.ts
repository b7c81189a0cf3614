/** Draws the facts of a post, and finds the values that a text mentions. */
import { type Domain, domainNames, domains, peopleOf } from './domains.js';
import { amounts, excuses, feelings, generalOptions, numberWords, timeUnits, whoSynonyms } from './lexicon.js';
import type { Random } from './random.js';
import type { Fact, FactKind } from './types.js';

/** Makes a fact of a kind from its canonical value, with all accepted forms. */
export function createFact(kind: FactKind, value: string): Fact {
  return { kind, value, forms: [value, ...otherForms(kind, value)] };
}

function otherForms(kind: FactKind, value: string): readonly string[] {
  if (kind === 'who') return whoSynonyms[value] ?? [];
  if (kind === 'action') return domainNames.map((name) => domains[name].actions[value]).find((forms) => forms) ?? [];
  return [];
}

/** Draws a value of a kind that fits the domain. */
export function drawValue(kind: FactKind, domain: Domain, random: Random): string {
  switch (kind) {
    case 'who':
      return random.pick(peopleOf(domain));
    case 'action':
      return random.pick(Object.keys(domain.actions));
    case 'object':
      return random.pick(domain.objects);
    case 'place':
      return random.pick(Object.keys(domain.places));
    case 'duration':
      return `${random.pick(numberWords)} ${random.pick(timeUnits)}`;
    case 'amount':
      return String(random.pick(amounts));
    case 'feeling':
      return random.pick(feelings);
    case 'excuse':
      return random.pick(excuses);
    case 'option':
      // About one draw in four is a general option.
      return random.chance(0.25) ? random.pick(generalOptions) : random.pick(domain.options);
  }
}

/** Draws a value of the same kind that differs from `value`. */
export function drawOtherValue(kind: FactKind, value: string, domain: Domain, random: Random): string {
  for (;;) {
    const other = drawValue(kind, domain, random);
    if (other !== value) return other;
  }
}

/** All canonical values of the world, except durations and amounts, which a pattern recognises. */
export const lexicon: ReadonlyMap<string, FactKind> = buildLexicon();

function buildLexicon(): Map<string, FactKind> {
  const result = new Map<string, FactKind>();
  const add = (kind: FactKind, values: Iterable<string>): void => {
    for (const value of values) result.set(value, kind);
  };
  add('feeling', feelings);
  add('excuse', excuses);
  add('option', generalOptions);
  for (const name of domainNames) {
    const domain = domains[name];
    add('who', peopleOf(domain));
    add('action', Object.keys(domain.actions));
    add('object', domain.objects);
    add('place', Object.keys(domain.places));
    add('option', domain.options);
  }
  return result;
}

const synonymToWho = new Map(
  Object.entries(whoSynonyms).flatMap(([who, others]) => others.map((other) => [other, who] as const)),
);

/** Options by first word, longest first. */
const optionsByFirstWord = new Map<string, string[]>();
for (const [value, kind] of lexicon) {
  if (kind !== 'option') continue;
  const first = value.split(' ')[0] as string;
  optionsByFirstWord.set(
    first,
    [...(optionsByFirstWord.get(first) ?? []), value].sort((a, b) => b.length - a.length),
  );
}

/** Returns the lower-case words and the numbers of a text, without punctuation and currency signs. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]+(?:'[a-z]+)?|\d+/g) ?? [];
}

/** Returns the canonical values that a text mentions, by kind, each once, in the order of appearance. */
export function findValues(text: string): ReadonlyMap<FactKind, readonly string[]> {
  const words = wordsOf(text);
  const found = new Map<FactKind, string[]>();
  const add = (kind: FactKind, value: string): void => {
    const values = found.get(kind);
    if (values === undefined) found.set(kind, [value]);
    else if (!values.includes(value)) values.push(value);
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const duration = durationAt(words, i);
    if (duration !== undefined) {
      add('duration', duration);
      i++;
      continue;
    }
    if (/^\d/.test(word)) {
      add('amount', String(Number(word)));
      continue;
    }
    const rest = words.slice(i, i + 5).join(' ');
    const option = optionsByFirstWord.get(word)?.find((value) => rest === value || rest.startsWith(`${value} `));
    if (option !== undefined) {
      add('option', option);
      i += option.split(' ').length - 1;
      continue;
    }
    const who = synonymToWho.get(word);
    const kind = who === undefined ? lexicon.get(word) : 'who';
    if (kind !== undefined) add(kind, who ?? word);
  }
  return found;
}

/** Reads a duration at a position: `three weeks`, `3 weeks` and `three week` all give `three weeks`. */
function durationAt(words: readonly string[], at: number): string | undefined {
  const unit = timeUnits.find((candidate) => words[at + 1] === candidate || `${words[at + 1]}s` === candidate);
  if (unit === undefined) return undefined;
  const word = words[at] as string;
  const number = /^\d+$/.test(word) ? (numberWords[Number(word) - 2] ?? word) : word;
  return numberWords.includes(number) || /^\d+$/.test(number) ? `${number} ${unit}` : undefined;
}
