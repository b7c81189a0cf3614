/** Draws the preferences of a simulated person, who prefers the completion with the higher score more often, not always. */

import judgeFacts from '../judges/facts.js';
import judgeTone from '../judges/tone.js';
import { createRandom } from '../world/index.js';
import type { Preference } from './trainer.js';

/**
 * Steepness of the preferences. A completion whose score is higher by 0.25 is preferred 88 times out of 100, one whose
 * score is higher by 0.05 is preferred 60 times.
 */
const decidedness = 8;

/**
 * The judge that the reward model imitates: the mean of facts and tone, from 0 to 1. With tone alone, which does not read
 * the post, the same courteous answer to every post would be best. Facts tie each answer to its post.
 */
export function judge(post: string, completion: string): number {
  return (judgeFacts(post, completion) + judgeTone(post, completion)) / 2;
}

/**
 * Draws one preference for every pair of completions of a post: P(i is preferred to j) = sigmoid(k (score_i - score_j)).
 * @param seed seed of the post; the same seed gives the same preferences
 * @param firstRow row number of the first completion
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
