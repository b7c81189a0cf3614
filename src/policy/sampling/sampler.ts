/**
 * Draws tokens from logits.
 *
 * The settings are applied in this order:
 * - logit bias;
 * - repetition penalty, for tokens of prompt and completion: a positive logit is divided by it, a negative one
 *   multiplied;
 * - presence and frequency penalty, for tokens of the completion;
 * - temperature; temperature 0 takes the largest logit of the result so far;
 * - top-k;
 * - top-p: keeps the smallest set of the most probable tokens whose total probability reaches p;
 * - min-p: keeps tokens with at least this share of the largest probability.
 *
 * The remaining probabilities are renormalised.
 *
 * Each token is reported with two numbers: its log-softmax at temperature 1 over the raw logits, which the learner
 * computes too, and its log-probability in the distribution from which it was drawn.
 */

import { HoneError } from '../../errors.js';
import type { TopLogprob } from '../completion-events.js';
import type { SamplingSettings } from '../completion-request.js';
import { expBelow0 } from './exponential.js';
import { Random } from './random.js';
import { TopSelection } from './top-selection.js';

/** The result of {@link Sampler.sample}. Each sampler has one such object and overwrites it in each call. */
export interface Sampled {
  token: number;
  logprob: number;
  sampledLogprob: number;
  /** The most probable tokens according to the raw logits; empty unless the request asks for them. */
  top: readonly TopLogprob[];
}

/** Buffers that all samplers of a thread share. */
export class SamplingScratch {
  readonly scores: Float64Array;
  readonly selection = new TopSelection();

  constructor(vocabularySize: number) {
    this.scores = new Float64Array(vocabularySize);
  }
}

/** Number of most probable tokens with which the search for top-p starts. */
const firstNucleus = 64;

/** The sampler of one completion, with its random generator and the tokens that its penalties count. */
export class Sampler {
  readonly #settings: SamplingSettings;
  readonly #scratch: SamplingScratch;
  readonly #size: number;
  readonly #random: Random;
  readonly #bias: readonly (readonly [number, number])[];
  /** Tokens to which the repetition penalty applies; `null` if it is off. */
  readonly #seen: Set<number> | null;
  /** Counts of completion tokens; `null` if presence and frequency penalty are off. */
  readonly #counts: Map<number, number> | null;
  /** Whether there is neither bias nor penalty. */
  readonly #plain: boolean;
  /** Whether weights for drawing are those of the raw logits: plain, at temperature 1 and without top-k. */
  readonly #drawsRaw: boolean;
  readonly #result: Sampled = { token: 0, logprob: 0, sampledLogprob: 0, top: [] };

  /** @param seed 32-bit unsigned; the same seed and logits give the same tokens */
  constructor(settings: SamplingSettings, promptTokens: readonly number[], seed: number, scratch: SamplingScratch) {
    this.#settings = settings;
    this.#scratch = scratch;
    this.#size = scratch.scores.length;
    this.#random = new Random(seed);
    this.#bias = Object.entries(settings.logitBias).map(([token, value]) => [Number(token), value] as const);
    this.#seen = settings.repetitionPenalty === 1 ? null : new Set(promptTokens);
    this.#counts = settings.presencePenalty === 0 && settings.frequencyPenalty === 0 ? null : new Map();
    this.#plain = this.#bias.length === 0 && this.#seen === null && this.#counts === null;
    const cutsTop = settings.topK > 0 && settings.topK < this.#size;
    this.#drawsRaw = this.#plain && settings.temperature === 1 && !cutsTop;
  }

  /**
   * Draws a token from the logits `data[offset .. offset + vocabulary size)`.
   * @param topProbability softmax of the largest logit; computed if absent
   * @throws HoneError `INTERNAL` if the logits are not finite
   */
  sample(data: Float32Array, offset: number, topProbability?: number): Sampled {
    const maximum = largest(data, offset, this.#size);
    // If the token is drawn from the raw logits, one pass gives the weights for both numbers.
    const total =
      topProbability === undefined || this.#drawsRaw ? this.#weigh(data, offset, maximum, 1) : 1 / topProbability;
    checkFinite(total);
    this.#choose(data, offset, maximum, total);
    this.#note(data, offset, maximum, total);
    const { token } = this.#result;
    this.#seen?.add(token);
    this.#counts?.set(token, (this.#counts.get(token) ?? 0) + 1);
    return this.#result;
  }

  /**
   * Takes a token instead of drawing one. Both of its log-probabilities are that of the raw logits.
   * @param topProbability as in {@link Sampler.sample}
   * @throws HoneError `INTERNAL` if the logits are not finite
   */
  take(token: number, data: Float32Array, offset: number, topProbability?: number): Sampled {
    const maximum = largest(data, offset, this.#size);
    const total = topProbability === undefined ? this.#weigh(data, offset, maximum, 1) : 1 / topProbability;
    checkFinite(total);
    this.#result.token = token;
    this.#note(data, offset, maximum, total);
    this.#result.sampledLogprob = this.#result.logprob;
    return this.#result;
  }

  /** Sets the results that depend on the raw logits: the token's log-probability and the most probable tokens. */
  #note(data: Float32Array, offset: number, maximum: number, total: number): void {
    const { topLogprobs } = this.#settings;
    // Not added to the maximum first, because a very large maximum would absorb it.
    const logTotal = Math.log(total);
    this.#result.logprob = (data[offset + this.#result.token] as number) - maximum - logTotal;
    this.#result.top = topLogprobs === 0 ? [] : this.#topLogprobs(data, offset, topLogprobs, logTotal);
  }

  /** Writes the weights exp((x - maximum) / temperature) into the scratch. @returns their sum */
  #weigh(values: ArrayLike<number>, offset: number, maximum: number, temperature: number): number {
    const { scores } = this.#scratch;
    const inverse = inverseOf(temperature);
    let total = 0;
    for (let i = 0; i < this.#size; i++) {
      const weight = expBelow0(((values[offset + i] as number) - maximum) * inverse);
      scores[i] = weight;
      total += weight;
    }
    return total;
  }

  /** @param weights sum of the weights of the raw logits. If the token is drawn from them, they are in the scratch. */
  #choose(data: Float32Array, offset: number, maximum: number, weights: number): void {
    const { temperature, topK, topP, minP } = this.#settings;
    let [values, from, largestValue]: [ArrayLike<number>, number, number] = [data, offset, maximum];
    if (!this.#plain) {
      const { scores } = this.#scratch;
      for (let i = 0; i < this.#size; i++) scores[i] = data[offset + i] as number;
      this.#penalize(scores);
      [values, from, largestValue] = [scores, 0, largest(scores, 0, this.#size)];
    }
    if (temperature === 0) {
      this.#result.token = indexOf(values, from, largestValue);
      this.#result.sampledLogprob = 0;
    } else if (topK > 0 && topK < this.#size) {
      this.#drawTop(values, from, largestValue);
    } else {
      const total = this.#drawsRaw ? weights : this.#weigh(values, from, largestValue, temperature);
      if (topP < 1) this.#drawNucleus(total);
      else this.#drawFrom(minP > 0 ? this.#dropBelow(minP) : total);
    }
  }

  #penalize(scores: Float64Array): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.#settings;
    for (const [token, value] of this.#bias) scores[token] = (scores[token] as number) + value;
    for (const token of this.#seen ?? []) {
      const score = scores[token] as number;
      scores[token] = score > 0 ? Math.min(score / repetitionPenalty, Number.MAX_VALUE) : score * repetitionPenalty;
    }
    for (const [token, count] of this.#counts ?? []) {
      scores[token] = (scores[token] as number) - presencePenalty - frequencyPenalty * count;
    }
  }

  /** Zeroes weights below minP, the largest weight being 1. @returns the sum of the others */
  #dropBelow(minP: number): number {
    const { scores } = this.#scratch;
    let total = 0;
    for (let i = 0; i < this.#size; i++) {
      const weight = scores[i] as number;
      if (weight < minP) scores[i] = 0;
      else total += weight;
    }
    return total;
  }

  /** Draws among all tokens, by inverting the cumulative distribution in the order of their ids. */
  #drawFrom(total: number): void {
    const { scores } = this.#scratch;
    let rest = this.#random.uniform() * total;
    let token = -1;
    for (let i = 0; i < this.#size; i++) {
      const weight = scores[i] as number;
      if (weight === 0) continue;
      token = i;
      rest -= weight;
      if (rest < 0) break;
    }
    this.#result.token = token;
    this.#result.sampledLogprob = Math.log((scores[token] as number) / total);
  }

  /** Draws among the k largest values. Only these are weighed. */
  #drawTop(values: ArrayLike<number>, offset: number, maximum: number): void {
    const { topK, topP, temperature } = this.#settings;
    const { selection } = this.#scratch;
    const inverse = inverseOf(temperature);
    selection.select(values, offset, this.#size, topK);
    let total = 0;
    for (let i = 0; i < selection.length; i++) {
      const weight = expBelow0(((selection.scores[i] as number) - maximum) * inverse);
      selection.scores[i] = weight;
      total += weight;
    }
    // top-p is a share of the total that is left after top-k.
    const kept = this.#nucleus(topP * total);
    this.#drawKept(kept.count, kept.total);
  }

  /** Draws among the tokens that top-p keeps, which are searched in growing selections. */
  #drawNucleus(total: number): void {
    const { scores, selection } = this.#scratch;
    const wanted = this.#settings.topP * total;
    for (let k = firstNucleus; ; k *= 8) {
      selection.select(scores, 0, this.#size, Math.min(k, this.#size));
      const kept = this.#nucleus(wanted);
      if (kept.total < wanted && selection.length < this.#size) continue;
      this.#drawKept(kept.count, kept.total);
      return;
    }
  }

  /**
   * Returns how many of the selected weights, the largest first, are needed for a sum of `wanted`; all if it is not
   * reached.
   */
  #nucleus(wanted: number): { readonly count: number; readonly total: number } {
    const { selection } = this.#scratch;
    let count = 0;
    let total = 0;
    while (count < selection.length && (count === 0 || total < wanted)) total += selection.scores[count++] as number;
    return { count, total };
  }

  /** Applies min-p to the first `count` selected weights and draws among the rest. */
  #drawKept(count: number, total: number): void {
    const { selection } = this.#scratch;
    const threshold = this.#settings.minP * (selection.scores[0] as number);
    let kept = count;
    let keptTotal = total;
    while (kept > 1 && (selection.scores[kept - 1] as number) < threshold) {
      keptTotal -= selection.scores[--kept] as number;
    }
    let rest = this.#random.uniform() * keptTotal;
    let chosen = 0;
    for (let i = 0; i < kept; i++) {
      chosen = i;
      rest -= selection.scores[i] as number;
      if (rest < 0) break;
    }
    this.#result.token = selection.indices[chosen] as number;
    this.#result.sampledLogprob = Math.log((selection.scores[chosen] as number) / keptTotal);
  }

  #topLogprobs(data: Float32Array, offset: number, count: number, logTotal: number): TopLogprob[] {
    const { selection } = this.#scratch;
    selection.select(data, offset, this.#size, count);
    return Array.from({ length: selection.length }, (_, i) => ({
      token: selection.indices[i] as number,
      logprob: (selection.scores[i] as number) - (selection.scores[0] as number) - logTotal,
    }));
  }
}

/** @param total sum of the weights of raw logits */
function checkFinite(total: number): void {
  if (Number.isFinite(total)) return;
  throw new HoneError('INTERNAL', 'the model computed logits that are not finite; its weights are damaged');
}

/** Returns 1 / temperature, but never infinity, because 0 * infinity would be NaN for the likeliest token. */
function inverseOf(temperature: number): number {
  return Math.min(1 / temperature, Number.MAX_VALUE);
}

/** Returns the first index of a value. */
function indexOf(values: ArrayLike<number>, offset: number, wanted: number): number {
  let index = 0;
  while (values[offset + index] !== wanted) index += 1;
  return index;
}

function largest(values: ArrayLike<number>, offset: number, count: number): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const value = values[offset + i] as number;
    if (value > maximum) maximum = value;
  }
  return maximum;
}
