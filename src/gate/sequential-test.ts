/**
 * A sequential test of whether the candidate is worse than the live version, on rewards in [0, 1]. It may be evaluated
 * after every reward: its error rates hold at all times together, however often it is evaluated and whenever it stops.
 *
 * The test pairs the rewards of the two arms as they come. The arm with more rewards waits with their mean until the
 * other arm has a reward. With a share of 10 %, each reward of the candidate is paired with the mean of about nine
 * rewards of the live version. The two of a pair are close in time, so a day that is harder for both affects neither. D
 * in [-1, 1] is the difference within a pair, candidate minus live. The mean of D is the difference of the arms' means,
 * however many rewards each mean has.
 *
 * The test bets against two hypotheses, each with capital 1 at the start (Waudby-Smith and Ramdas, "Estimating means of bounded
 * random variables by betting", JRSS B 86(1), 2024):
 *
 *   E[D] >= 0        capital  prod(1 - lambda D)              grows if the candidate is worse
 *   E[D] <= -margin  capital  prod(1 + lambda (D + margin))   grows if it is not worse by more than the margin
 *
 * If its hypothesis is true, no bet makes money on average: the capital is a non-negative supermartingale, and by Ville's
 * inequality it reaches 1/alpha at any time with probability at most alpha. The mean of several such capitals is a
 * supermartingale too. So no stake lambda has to be chosen: the test plays a fixed list of stakes at once, and the best
 * one soon dominates the mean.
 */

export type Arm = 'live' | 'candidate';

export interface SequentialSettings {
  /** Bound of each error probability: to roll back a version that is not worse, to promote one worse by the margin. */
  readonly alpha: number;
  /** Accepted loss of mean reward against the live version, above 0. */
  readonly margin: number;
  /** Fewest rewards of the candidate for the decision `not_worse`. The decision `worse` needs no minimum. */
  readonly minimum: number;
}

/** Rewards of one arm. */
export interface ArmState {
  readonly count: number;
  readonly sum: number;
  /** Rewards that wait for a partner; they are part of `count`. */
  readonly waiting: number;
  readonly waitingSum: number;
}

/** The complete state of the test, as plain JSON. */
export interface SequentialState {
  readonly live: ArmState;
  readonly candidate: ArmState;
  readonly pairs: number;
  /** ln of the capital for each stake: `worse` bets against "not worse", `notWorse` against "worse by the margin". */
  readonly worse: readonly number[];
  readonly notWorse: readonly number[];
}

/** `worse`: roll back. `not_worse`: promote. `null`: continue. */
export type SequentialDecision = 'worse' | 'not_worse' | null;

/** The stakes halve from 0.9 on. D may be 1, so a stake of 1 could lose the whole capital. */
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
 * Returns the test with one more reward.
 * @param reward is clamped to [0, 1], because the test is valid for bounded rewards only
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

/** Returns the decision that the rewards so far allow. */
export function decide(state: SequentialState, { alpha, minimum }: SequentialSettings): SequentialDecision {
  const enough = -Math.log(alpha);
  const { worse, notWorse } = evidence(state);
  if (worse >= enough) return 'worse';
  return notWorse >= enough && state.candidate.count >= minimum ? 'not_worse' : null;
}

/** Returns ln of the two capitals. Each decides when it reaches -ln(alpha). */
export function evidence(state: SequentialState): { readonly worse: number; readonly notWorse: number } {
  return { worse: logMeanExp(state.worse), notWorse: logMeanExp(state.notWorse) };
}

/** Whether a value, such as one that was read from a file, is a state of this test. */
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

/** Multiplies the capital of each stake by (1 + stake * gain). */
function bet(capitals: readonly number[], gain: number): number[] {
  return capitals.map((capital, i) => capital + Math.log1p((stakes[i] as number) * gain));
}

function logMeanExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0) / values.length);
}
