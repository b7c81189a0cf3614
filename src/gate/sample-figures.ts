/** Computes the figures of samples, which the checks compare. */

import type { DrawnCompletion } from './background.js';
import { repeatedShare } from './repetition.js';
import type { SampleReward } from './sample-rewards.js';
import type { SampleFigures } from './types.js';

/**
 * Returns a function that computes the figures of samples; equal completions get the same `answer` in all its calls.
 * @param ngram length of the n-grams whose repetition is counted
 */
export function figuresBy(ngram: number) {
  const answers = new Map<string, number>();
  return (
    drawn: readonly DrawnCompletion[] = [],
    rewards: readonly SampleReward[] = [],
    underReference: readonly number[] = [],
  ): SampleFigures[] =>
    drawn.map(({ tokens, text, endOfSequence, logprob }, i) => {
      const key = tokens.join();
      const answer = answers.get(key) ?? answers.size;
      answers.set(key, answer);
      const referenceLogprob = underReference[i];
      return {
        tokens: tokens.length,
        endOfSequence,
        empty: text.trim() === '',
        repeated: repeatedShare(tokens, ngram),
        answer,
        logRatio: referenceLogprob === undefined ? null : logprob - referenceLogprob,
        reward: rewards[i] ?? null,
      };
    });
}
