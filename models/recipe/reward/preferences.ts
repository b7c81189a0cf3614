/** Preferences of a noisy person: a judge's scores decide how probable each answer is, chance decides which is given. */

import judgeFacts from '../judges/facts.js';
import judgeTone from '../judges/tone.js';
import { createRandom } from '../world/index.js';
import type { Preference } from './trainer.js';

/**
 * How decided the preferences are: a difference of 0.25 in the judge's score is preferred 88 times of 100, one of 0.05
 * 60 times.
 */
const decidedness = 8;

/**
 * What the reward model learns: the mean of facts and tone, from 0 to 1. Tone alone does not look at the post, so that
 * one courteous answer to everything would be best; facts hold each answer to its post.
 */
export function judge(post: string, completion: string): number {
  return (judgeFacts(post, completion) + judgeTone(post, completion)) / 2;
}

/**
 * One answer for every pair of completions of a post: P(i is preferred to j) = sigmoid(k (score_i - score_j)).
 * @param seed of the post: the same answers come out again
 * @param firstRow number of the first completion
 */
export function drawPreferences(scores: readonly number[], seed: number, firstRow: number): Preference[] {
  const random = createRandom(seed, 'preferences');
  const preferences: Preference[] = [];
  for (let i = 0; i < scores.length; i++) {
    for (let j = i + 1; j < scores.length; j++) {
      const margin = (scores[i] as number) - (scores[j] as number);
      const first = random.chance(1 / (1 + Math.exp(-decidedness * margin)));
      preferences.push({ better: firstRow + (first ? i : j), worse: firstRow + (first ? j : i) });
    }
  }
  return preferences;
}
