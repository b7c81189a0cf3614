/**
 * Writes summaries of a post: perfect ones, and mixed ones for training the default policy. The quality of each fact and
 * of each phrase is drawn independently, so no template and no first token decides how good a summary is. A policy can
 * only improve by choosing better at every place.
 */
import { domains, pronounOf } from './domains.js';
import { drawOtherValue } from './facts.js';
import { pronounWords } from './post.js';
import { createRandom, type Random } from './random.js';
import * as phrases from './summary-phrases.js';
import type { FactKind, Post } from './types.js';

/** The probabilities of a summary's parts. */
interface SummaryQuality {
  /** A fact is there and right. A fact is left out with the rest of probability: 1 - `right` - `wrong` - `vague`. */
  readonly right: number;
  /** A fact has another value of its kind. */
  readonly wrong: number;
  /** Vague words stand for a fact. */
  readonly vague: number;
  /** Each empty phrase (hedge at the start, aside, outburst) occurs; a repetition of the problem occurs half as often. */
  readonly noise: number;
  /** The option is a statement instead of a question. */
  readonly statement: number;
  /** The question is soft (`would it be fair to ...`). */
  readonly soft: number;
  /** The question comes with a courtesy (`please tell me, ...`). */
  readonly courtesy: number;
}

/** The summaries that train the default policy. They score about half as much as perfect ones, and vary widely. */
export const mixedQuality: SummaryQuality = {
  right: 0.68,
  wrong: 0.08,
  vague: 0.09,
  noise: 0.15,
  statement: 0.12,
  soft: 0.4,
  courtesy: 0.35,
};

/** All facts are there and right, and nothing else. */
export const perfectQuality: SummaryQuality = {
  right: 1,
  wrong: 0,
  vague: 0,
  noise: 0,
  statement: 0,
  soft: 0.5,
  courtesy: 0,
};

/** How a summary states a fact: with a value, with vague words, or not at all. */
type Telling = { readonly value: string } | 'vague' | 'left out';

/** Writes a summary of a post in one or two sentences, with the given quality (default {@link mixedQuality}). */
export function createSummary(post: Post, random: Random, quality: SummaryQuality = mixedQuality): string {
  const tellings = new Map(
    post.facts.map((fact) => [fact.kind, drawTelling(fact.kind, fact.value, post, random, quality)]),
  );
  const problem = writeProblem(tellings, post, random);
  const aside = random.chance(quality.noise) ? random.pick(phrases.asides) : '';
  const hedge = random.chance(quality.noise) ? random.pick(phrases.hedges) : '';
  const repeat = random.chance(quality.noise / 2) ? `, and again ${lowerFirst(shortProblem(problem))}` : '';
  const ending = writeEnding(tellings.get('option') ?? 'left out', random, quality);
  const outburst = random.chance(quality.noise) ? ` ${random.pick(phrases.outbursts)}` : '';
  const start = hedge === '' ? upperFirst(problem) : `${hedge}${lowerFirst(problem)}`;
  return `${start}${repeat}${aside}${ending}${outburst}`;
}

/** Writes a perfect summary of a post. Equal seeds give equal summaries. */
export function createPerfectSummary(post: Post, seed: number): string {
  return createSummary(post, createRandom(seed, 'perfect summary'), perfectQuality);
}

function drawTelling(kind: FactKind, value: string, post: Post, random: Random, quality: SummaryQuality): Telling {
  const u = random.next();
  if (u < quality.right) return { value };
  if (u < quality.right + quality.wrong) return { value: drawOtherValue(kind, value, domains[post.domain], random) };
  if (u < quality.right + quality.wrong + quality.vague) return 'vague';
  return 'left out';
}

/** Writes `my sister has been taking my bike in the garage for three weeks because she is bored, and I am angry`. */
function writeProblem(tellings: ReadonlyMap<FactKind, Telling>, post: Post, random: Random): string {
  const told = (kind: FactKind): string | undefined => {
    const telling = tellings.get(kind);
    return typeof telling === 'object' ? telling.value : undefined;
  };
  const isVague = (kind: FactKind): boolean => tellings.get(kind) === 'vague';
  const who = told('who');
  const pronoun = pronounWords(who === undefined ? 'they' : pronounOf(who));
  const frame = random.pick(phrases.verbFrames);
  const subject = who === undefined ? lowerFirst(random.pick(phrases.vagueWho)) : `my ${who}`;
  // A sentence needs a verb and an object, so vague words replace them if they are left out.
  const action = told('action') ?? random.pick(phrases.vagueActions);
  const object = told('object') === undefined ? random.pick(phrases.vagueObjects) : `my ${told('object')}`;
  const place = told('place');
  const duration = told('duration') ?? (isVague('duration') ? random.pick(phrases.vagueDurations) : undefined);
  const inFront = duration !== undefined && frame.front && random.chance(0.4);

  let text = `${subject} ${frame.verb} ${action} ${object}`;
  if (place !== undefined) text += ` ${domains[post.domain].places[place]} ${place}`;
  else if (isVague('place')) text += ` ${random.pick(phrases.vaguePlaces)}`;
  if (duration !== undefined)
    text = inFront ? `${frame.before} ${duration} ${text}` : `${text} ${frame.before} ${duration}`;
  if (told('excuse') !== undefined) text += ` because ${pronoun.they} ${pronoun.be} ${told('excuse')}`;
  else if (isVague('excuse')) text += ` ${random.pick(phrases.vagueExcuses)}`;

  const clauses: string[] = [];
  const amount = told('amount');
  if (amount !== undefined) clauses.push(random.pick(phrases.amountClauses).replace('{amount}', amount));
  else if (isVague('amount')) clauses.push(random.pick(phrases.vagueAmounts));
  const feeling = told('feeling');
  if (feeling !== undefined) clauses.push(random.pick(phrases.feelingClauses).replace('{feeling}', feeling));
  else if (isVague('feeling')) clauses.push(random.pick(phrases.vagueFeelings));
  return [text, ...clauses].join(', ');
}

/** Writes the joint and the question, or only the full stop if the question is left out. */
function writeEnding(option: Telling, random: Random, quality: SummaryQuality): string {
  const joint = random.pick(phrases.joints);
  const courtesy = random.chance(quality.courtesy) ? random.pick(phrases.courtesies) : '';
  const isSoft = random.chance(quality.soft);
  const isStatement = random.chance(quality.statement);
  if (option === 'left out') return '.';
  let text: string;
  if (option === 'vague') text = `${courtesy}${random.pick(phrases.vagueQuestions)}`;
  else if (isStatement) text = random.pick(phrases.statements).replace('{option}', option.value);
  else {
    const questions = isSoft ? phrases.softQuestions : phrases.plainQuestions;
    text = `${courtesy}${random.pick(questions).replace('{option}', option.value)}`;
  }
  return `${joint.text}${joint.capital ? upperFirst(text) : text}`;
}

/** Returns the problem up to its first comma. */
function shortProblem(problem: string): string {
  return problem.split(',')[0] as string;
}

function upperFirst(text: string): string {
  return `${(text[0] as string).toUpperCase()}${text.slice(1)}`;
}

function lowerFirst(text: string): string {
  return `${(text[0] as string).toLowerCase()}${text.slice(1)}`;
}
