/**
 * Judges summaries by the facts of the post: whether they are there and right, and whether the text is a short sentence.
 *
 * `score = facts^1.3 * brevity * form * grammar`. Each factor changes smoothly or in small steps, so each corrected fact
 * raises the score. The judge reads the facts from the text of the post, so it only works on posts of this recipe's
 * world. Its only measure of grammar is the number of words that connect the values.
 */
import { type Fact, type FactKind, findValues, lexicon, parsePost, wordsOf } from '../world/index.js';
import { countFunctionWords, isFramed, ramp, repeatedRuns, sentencesOf } from './form.js';

/** Weights of the facts. The question weighs most, because it is the point of the post. */
const weights: Readonly<Partial<Record<FactKind, number>>> = { option: 1.5 };

/** Credit of a fact. A wrong value costs, and so does naming several values of one kind. */
const credits = { right: 1, missing: 0, wrong: -0.4, ambiguous: 0.1 } as const;

type Found = ReadonlyMap<FactKind, readonly string[]>;

/** A summary of the first number of words is short; from the second number of words on, brevity is 0. */
const shortWords = 32;
const longWords = 56;

/** Scores a completion as a summary of these facts, in [0, 1]. */
export function scoreFacts(facts: readonly Fact[], completion: string): number {
  const words = wordsOf(completion);
  if (words.length === 0) return 0;
  const found = findValues(completion);
  return (
    coverage(facts, found, words) ** 1.3 *
    ramp(words.length, shortWords, longWords) *
    form(completion, words) *
    grammar(found, words)
  );
}

/** Scores a completion as a summary of a post, in [0, 1]. Returns 0 if the post is not of this world. */
export function judgeFacts(post: string, completion: string): number {
  const facts = parsePost(post);
  return facts === null ? 0 : scoreFacts(facts, completion);
}

export default judgeFacts;

function coverage(facts: readonly Fact[], found: Found, words: readonly string[]): number {
  const joined = ` ${words.join(' ')} `;
  let total = 0;
  let sum = 0;
  for (const fact of facts) {
    const weight = weights[fact.kind] ?? 1;
    const told = found.get(fact.kind) ?? [];
    const others = told.filter((value) => value !== fact.value).length;
    const isTold = told.includes(fact.value) || tellsOtherForm(fact, joined);
    total += weight;
    sum += weight * credits[isTold ? (others === 0 ? 'right' : 'ambiguous') : others === 0 ? 'missing' : 'wrong'];
  }
  // A value of a kind that the post does not have is made up.
  for (const kind of found.keys()) {
    if (!facts.some((fact) => fact.kind === kind)) sum += credits.wrong;
  }
  return Math.max(0, sum / total);
}

/** Whether another form of the value occurs, such as `took` for `taking`. A form that is itself another value does not count. */
function tellsOtherForm(fact: Fact, joined: string): boolean {
  return fact.forms.some((other) => !lexicon.has(other) && joined.includes(` ${other} `));
}

function form(completion: string, words: readonly string[]): number {
  const { capital, end } = isFramed(completion);
  const sentences = sentencesOf(completion);
  const asks = sentences.some((sentence) => sentence.endsWith('?'));
  return (
    (capital ? 1 : 0.85) *
    (end ? 1 : 0.7) *
    (asks ? 1 : 0.8) *
    ramp(sentences.length, 2, 6) *
    0.85 ** repeatedRuns(words)
  );
}

/** Returns 1 if each value comes with about one connecting word or more, 0 for a mere list of values. */
function grammar(found: Found, words: readonly string[]): number {
  const values = [...found.values()].flat();
  const inside = countFunctionWords(values.flatMap((value) => value.split(' ')));
  return ramp((countFunctionWords(words) - inside) / Math.max(1, values.length), 0.8, 0.3);
}
