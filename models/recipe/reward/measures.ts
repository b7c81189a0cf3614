/** Measures how well a reward model agrees with the judge from whose preferences it learned. */

/** Agreement on completions of held-out posts. */
export interface Agreement {
  /** Number of pairs of completions of one post that the judge scores differently. */
  readonly pairs: number;
  /** Share of these pairs in which the model prefers the same completion as the judge. */
  readonly pairAccuracy: number;
  /** The same share among pairs whose scores differ by 0.2 or more. */
  readonly clearAccuracy: number;
  /** Spearman's rank correlation of rewards and judge's scores over all completions. */
  readonly rankCorrelation: number;
  /** Mean and standard deviation of the rewards. */
  readonly mean: number;
  readonly deviation: number;
}

/** A difference of scores that is clear to see. */
const clearDifference = 0.2;

/** @param posts for each post, the judge's score and the model's reward of each completion */
export function measureAgreement(
  posts: readonly { readonly scores: readonly number[]; readonly rewards: readonly number[] }[],
): Agreement {
  const count = { pairs: 0, right: 0, clear: 0, clearRight: 0 };
  for (const { scores, rewards } of posts) {
    for (let i = 0; i < scores.length; i++) {
      for (let j = i + 1; j < scores.length; j++) {
        const difference = (scores[i] as number) - (scores[j] as number);
        if (difference === 0) continue;
        const right = ((rewards[i] as number) - (rewards[j] as number)) * difference > 0 ? 1 : 0;
        count.pairs += 1;
        count.right += right;
        if (Math.abs(difference) < clearDifference) continue;
        count.clear += 1;
        count.clearRight += right;
      }
    }
  }
  const rewards = posts.flatMap((post) => post.rewards);
  const mean = average(rewards);
  return {
    pairs: count.pairs,
    pairAccuracy: count.right / count.pairs,
    clearAccuracy: count.clearRight / count.clear,
    rankCorrelation: correlation(ranks(posts.flatMap((post) => post.scores)), ranks(rewards)),
    mean,
    deviation: Math.sqrt(average(rewards.map((reward) => (reward - mean) ** 2))),
  };
}

/** Returns ranks from 0. Equal values get the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const result = new Array<number>(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to += 1;
    for (let k = from; k < to; k++) result[order[k] as number] = (from + to - 1) / 2;
    from = to;
  }
  return result;
}

/** Returns Pearson's correlation. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [average(a), average(b)];
  const sum = (f: (i: number) => number): number => a.reduce((total, _, i) => total + f(i), 0);
  const da = (i: number): number => (a[i] as number) - meanA;
  const db = (i: number): number => (b[i] as number) - meanB;
  return sum((i) => da(i) * db(i)) / Math.sqrt(sum((i) => da(i) ** 2) * sum((i) => db(i) ** 2));
}

export function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
