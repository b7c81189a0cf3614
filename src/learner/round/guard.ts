/**
 * Decides whether training has gone out of bounds: a pure function of the most recent steps.
 *
 * Two divergences can be measured on completions that the live version mu wrote, without sampling: KL(mu || reference),
 * the mean of ln mu - ln pi_ref, and KL(mu || pi) to the weights in training, the mean of ln mu - ln pi. The second grows
 * before the first: weights that a round has ruined give no probability to what the policy used to write, so the guard
 * finds them before they are offered. It cannot see probability on completions that were never written; that shows in the
 * first divergence once the version serves.
 *
 * A mean is beyond a bound if it exceeds it by two of its standard errors. The figures rest on the most recent
 * completions only, because the weights move.
 */

import type { Member } from '../experience/members.js';
import type { LearnerSettings, Parameters } from '../types.js';
import type { StepReport } from './step.js';

/** What may be out of bounds; `live`: the version that serves, not what was trained on from it. */
export type GuardCheck = 'weights' | 'dropped' | 'live' | 'moved' | 'far' | 'pushed_down';

export type GuardBounds = Pick<
  LearnerSettings,
  'guardMaxKl' | 'guardMaxMove' | 'guardMaxPushDown' | 'guardMaxDropped' | 'beta'
>;

/** Count and mean of some values, and the sum of their squared deviations from it. */
export interface Spread {
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
}

/** What the guard keeps of a step. */
export interface StepFigures {
  /** Whether it is the first of its round: its log-probabilities are those of the weights that the round began with. */
  readonly first: boolean;
  readonly applied: boolean;
  /** Whether every weight is a finite number after the step. */
  readonly finite: boolean;
  /** ln mu - ln pi_ref of completions that the live version mu wrote, nats. */
  readonly kl: Spread | null;
  /** ln mu - ln pi of the same completions; pi are the weights before the step. */
  readonly moved: Spread | null;
  /** h of the completions that the step pushed down: a sum or a mean over tokens, as the objective has it. */
  readonly pushedDown: Spread | null;
}

/** A figure that is out of bounds. */
export interface Breach {
  readonly check: GuardCheck;
  /** What is out of bounds, with its figures, and what to do. */
  readonly message: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** A figure rests on about this many of the most recent completions. */
const enough = 64;
/** With fewer completions there is no figure. */
const atLeast = 16;
/** The same for the one step that a round begins with. */
const atLeastOfStep = 4;
const standardErrors = 2;

/** @param steps the most recent ones, oldest first, none from before the weights were last given up */
export function judgeSteps(steps: readonly StepFigures[], bounds: GuardBounds): Breach | null {
  return (
    judgeWeights(steps) ??
    judgeDropped(steps, bounds) ??
    judgeMove(steps, bounds) ??
    judgeFar(steps, bounds) ??
    judgePushedDown(steps, bounds) ??
    judgeLive(steps, bounds)
  );
}

const calmer = 'set a smaller --learning-rate or a larger --beta, and look at who scored what since then';

function judgeWeights(steps: readonly StepFigures[]): Breach | null {
  if (steps.at(-1)?.finite !== false) return null;
  return { check: 'weights', message: `weights are no longer finite numbers: ${calmer}`, numbers: {} };
}

function judgeDropped(steps: readonly StepFigures[], { guardMaxDropped }: GuardBounds): Breach | null {
  const dropped = steps.length - 1 - steps.findLastIndex(({ applied }) => applied);
  if (dropped < guardMaxDropped) return null;
  const message = `${dropped} steps in a row were dropped, because a loss or gradient was not a finite number: ${calmer}`;
  return { check: 'dropped', message, numbers: { dropped_steps: dropped } };
}

/** Judges how far the round has moved the weights. */
function judgeMove(steps: readonly StepFigures[], { guardMaxMove }: GuardBounds): Breach | null {
  const from = steps.findLastIndex(({ first }) => first);
  const began = steps[from]?.moved ?? null;
  const now = recent(steps.slice(from + 1).map(({ moved }) => moved));
  if (began === null || began.count < atLeastOfStep || now === null) return null;
  const move = now.mean - began.mean;
  const error = Math.hypot(standardError(now), standardError(began));
  if (move - standardErrors * error <= guardMaxMove) return null;
  return {
    check: 'moved',
    message: `the round took ${nats(move)} from what the live version wrote (bound ${guardMaxMove}): ${calmer}`,
    numbers: { moved_nats: move, ...about(now, error, guardMaxMove) },
  };
}

/** Judges how far the weights are from the live version, over all rounds since. */
function judgeFar(steps: readonly StepFigures[], { guardMaxKl }: GuardBounds): Breach | null {
  const moved = recent(steps.map((step) => step.moved));
  if (moved === null || !isBeyond(moved, guardMaxKl)) return null;
  return {
    check: 'far',
    message: `the weights are ${nats(moved.mean)} away from the live version (bound ${guardMaxKl}): promote or reject a candidate, or ${calmer}`,
    numbers: { moved_nats: moved.mean, ...about(moved, standardError(moved), guardMaxKl) },
  };
}

/** At the optimum of the objective two completions of a prompt differ by (difference of their rewards) / beta in h. */
function judgePushedDown(steps: readonly StepFigures[], { guardMaxPushDown, beta }: GuardBounds): Breach | null {
  const h = recent(steps.map(({ pushedDown }) => pushedDown));
  const bound = guardMaxPushDown / beta;
  if (h === null || !isBeyond({ ...h, mean: -h.mean }, bound)) return null;
  return {
    check: 'pushed_down',
    message: `completions were pushed down to a mean h of ${nats(h.mean)} (bound -${bound}), past any optimum: ${calmer}`,
    numbers: { below_mean_h_nats: h.mean, ...about(h, standardError(h), -bound) },
  };
}

function judgeLive(steps: readonly StepFigures[], { guardMaxKl }: GuardBounds): Breach | null {
  const kl = recent(steps.map((step) => step.kl));
  if (kl === null || !isBeyond(kl, guardMaxKl)) return null;
  return {
    check: 'live',
    message: `the live version itself is ${nats(kl.mean)} away from the reference (bound ${guardMaxKl}): roll back with hone rollback <number>, and ${calmer}`,
    numbers: { kl_nats: kl.mean, ...about(kl, standardError(kl), guardMaxKl) },
  };
}

/** The most recent values together; null if there are too few. */
function recent(spreads: readonly (Spread | null)[]): Spread | null {
  let sum: Spread = { count: 0, mean: 0, squares: 0 };
  for (let i = spreads.length - 1; i >= 0 && sum.count < enough; i--) sum = joined(sum, spreads[i] ?? null);
  return sum.count < atLeast ? null : sum;
}

function joined(a: Spread, b: Spread | null): Spread {
  if (b === null || b.count === 0) return a;
  const count = a.count + b.count;
  const difference = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (difference * b.count) / count,
    squares: a.squares + b.squares + (difference ** 2 * a.count * b.count) / count,
  };
}

function standardError({ count, squares }: Spread): number {
  return Math.sqrt(squares / (count - 1) / count);
}

function isBeyond(spread: Spread, bound: number): boolean {
  return spread.mean - standardErrors * standardError(spread) > bound;
}

function about({ count }: Spread, error: number, bound: number): Record<string, number> {
  return { standard_error: error, completions: count, bound };
}

function nats(value: number): string {
  return `${Number(value.toPrecision(3))} nats per completion`;
}

/** Leaves out values that are not finite, because their step was dropped. */
export function spreadOf(values: readonly number[]): Spread | null {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return null;
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  return { count: finite.length, mean, squares: finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) };
}

/** @param first see {@link StepFigures} */
export function figuresOf(
  { members, logprobs, weights, applied }: Pick<StepReport, 'members' | 'logprobs' | 'weights' | 'applied'>,
  liveDigest: string,
  parameters: Parameters,
  first: boolean,
  { logProbability }: Pick<LearnerSettings, 'logProbability'>,
): StepFigures {
  // In nats per completion, also if the objective takes means over tokens.
  const tokensOf = ({ completionTokens }: Member): number => (logProbability === 'mean' ? completionTokens.length : 1);
  const referenceOf = (member: Member): number => (member.reference?.logprob ?? Number.NaN) * tokensOf(member);
  const current = members.map((member, i) => (logprobs[i] ?? Number.NaN) * tokensOf(member));
  const written = members.flatMap((member, i) =>
    member.adapterDigest === liveDigest && member.behaviourLogprob !== null
      ? [{ mu: member.behaviourLogprob, reference: referenceOf(member), pi: current[i] as number }]
      : [],
  );
  return {
    first,
    applied,
    finite: allFinite(parameters),
    kl: spreadOf(written.map(({ mu, reference }) => mu - reference)),
    moved: spreadOf(written.map(({ mu, pi }) => mu - pi)),
    pushedDown: spreadOf(
      members.flatMap(({ reference }, i) =>
        (weights[i] ?? 0) < 0 ? [(logprobs[i] ?? Number.NaN) - (reference?.logprob ?? Number.NaN)] : [],
      ),
    ),
  };
}

/** Sums absolute values: the sum is not finite if one of them is not. */
function allFinite(parameters: Parameters): boolean {
  let sum = 0;
  for (const { data } of parameters.values()) for (let i = 0; i < data.length; i++) sum += Math.abs(data[i] as number);
  return Number.isFinite(sum);
}
