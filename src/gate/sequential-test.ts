/**
 * Is the candidate worse than the live version? A sequential test on rewards in [0, 1] that may be looked at after every
 * single one: its error rates hold at all times together, however often one looks and whenever one stops.
 *
 * Rewards of the two arms are paired as they come. The arm that has more of them waits with their mean until the other
 * one has a reward: with a share of 10 %, each reward of the candidate meets the mean of about nine of the live version.
 * Pairs are neighbours in time, so a day that is harder for both moves neither. Of a pair, D in [-1, 1] is the
 * difference, candidate minus live; its mean is that of the arms, whatever the sizes of the means.
 *
 * Two hypotheses are bet against, each with capital 1 at the start (Waudby-Smith and Ramdas, "Estimating means of bounded
 * random variables by betting", JRSS B 86(1), 2024):
 *
 *   E[D] >= 0        capital  prod(1 - lambda D)              grows where the candidate is worse
 *   E[D] <= -margin  capital  prod(1 + lambda (D + margin))   grows where it is not worse by more than the margin
 *
 * Under its hypothesis, no bet makes money on average: the capital is a non-negative supermartingale, and by Ville's
 * inequality it ever reaches 1/alpha with probability at most alpha. The mean of several such capitals is one too, so the
 * stakes lambda need not be chosen: all of a fixed row are played at once, and the best one soon leads the mean.
 */

export type Arm = 'live' | 'candidate';

export interface SequentialSettings {
  /** Bound of each of the two error probabilities: rolling back what is not worse, promoting what is worse by the margin. */
  readonly alpha: number;
  /** By how much the candidate's mean reward may be below the live version's, above 0. */
  readonly margin: number;
  /** Fewest rewards of the candidate before it is found not worse. Bad ones are found at any number. */
  readonly minimum: number;
}

/** Rewards of one arm. */
export interface ArmState {
  readonly count: number;
  readonly sum: number;
  /** Of them, those that wait for a partner. */
  readonly waiting: number;
  readonly waitingSum: number;
}

/** All that the test knows; plain JSON. */
export interface SequentialState {
  readonly live: ArmState;
  readonly candidate: ArmState;
  readonly pairs: number;
  /** ln of the capital by stake, against "not worse" and against "worse by the margin or more". */
  readonly worse: readonly number[];
  readonly notWorse: readonly number[];
}

/** `worse`: roll back; `not_worse`: promote; `null`: go on. */
export type SequentialDecision = 'worse' | 'not_worse' | null;

/** Stakes: halving from 0.9, since D may be 1 and a stake of 1 could lose everything. */
const stakes: readonly number[] = Array.from({ length: 8 }, (_, i) => 0.9 / 2 ** i);

const noRewards: ArmState = { count: 0, sum: 0, waiting: 0, waitingSum: 0 };

/** The test before its first reward. */
export const nothingObserved: SequentialState = {
  live: noRewards,
  candidate: noRewards,
  pairs: 0,
  worse: stakes.map(() => 0),
  notWorse: stakes.map(() => 0),
};

/**
 * The test with one more reward.
 * @param reward in [0, 1]; what lies outside is clamped, for the bounds are what makes the test valid
 */
export function observe(
  state: SequentialState,
  arm: Arm,
  reward: number,
  { margin }: SequentialSettings,
): SequentialState {
  const next = { ...state, [arm]: withReward(state[arm], Math.min(1, Math.max(0, reward))) };
  const { live, candidate } = next;
  if (live.waiting === 0 || candidate.waiting === 0) return next;
  const difference = candidate.waitingSum / candidate.waiting - live.waitingSum / live.waiting;
  return {
    live: paired(live),
    candidate: paired(candidate),
    pairs: state.pairs + 1,
    worse: bet(state.worse, -difference),
    notWorse: bet(state.notWorse, difference + margin),
  };
}

/** What the evidence so far allows to say. */
export function decide(state: SequentialState, { alpha, minimum }: SequentialSettings): SequentialDecision {
  const enough = -Math.log(alpha);
  const { worse, notWorse } = evidence(state);
  if (worse >= enough) return 'worse';
  return notWorse >= enough && state.candidate.count >= minimum ? 'not_worse' : null;
}

/** ln of the two capitals; each decides at -ln(alpha). */
export function evidence(state: SequentialState): { readonly worse: number; readonly notWorse: number } {
  return { worse: logMeanExp(state.worse), notWorse: logMeanExp(state.notWorse) };
}

/** Whether a value that was read from somewhere is a state of this test. */
export function isSequentialState(value: unknown): value is SequentialState {
  const { live, candidate, pairs, worse, notWorse } = Object(value) as Partial<SequentialState>;
  const arms = [live, candidate].flatMap((arm) => {
    const { count, sum, waiting, waitingSum } = Object(arm) as Partial<ArmState>;
    return [count, sum, waiting, waitingSum];
  });
  const capitals = [worse, notWorse];
  return (
    [...arms, pairs].every((number) => Number.isFinite(number)) &&
    capitals.every((row) => Array.isArray(row) && row.length === stakes.length && row.every(Number.isFinite))
  );
}

function withReward({ count, sum, waiting, waitingSum }: ArmState, reward: number): ArmState {
  return { count: count + 1, sum: sum + reward, waiting: waiting + 1, waitingSum: waitingSum + reward };
}

function paired(arm: ArmState): ArmState {
  return { ...arm, waiting: 0, waitingSum: 0 };
}

/** Each stake's capital times (1 + stake * gain). */
function bet(capitals: readonly number[], gain: number): number[] {
  return capitals.map((capital, i) => capital + Math.log1p((stakes[i] as number) * gain));
}

function logMeanExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0) / values.length);
}
