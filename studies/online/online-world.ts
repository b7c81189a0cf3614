/** The world that an online loop lives in: posts to summarise, and a judge of what is written. */

import judgeFacts from '../../models/recipe/judges/facts.js';
import judgeTone from '../../models/recipe/judges/tone.js';
import { createPost, parsePost } from '../../models/recipe/world/index.js';
import type { JudgeName } from './online-task.js';

export interface World {
  /** The n-th post that asks for a completion, from 0; each seed has its own. */
  trainingPost(seed: number, n: number): string;
  /** The n-th post that versions are compared on, from 0; the same for every seed. */
  heldOutPost(n: number): string;
  /** What a completion is worth, 0 to 1. */
  judge(post: string, completion: string): number;
  /** What a word of the post adds if prompts shift the score, 0 or 1. */
  shift(post: string): number;
}

/** After the seeds of the posts that made the default policy. */
const firstTrainingSeed = 1_000_000;
/** The model card, the training curve and the demo use other seeds. */
const firstHeldOutSeed = 700_000;

/** The recipe's posts under one of its judges. */
export function recipeWorld(judge: JudgeName): World {
  return {
    trainingPost: (seed, n) => createPost(firstTrainingSeed + 100_000 * seed + n, 'train').text,
    heldOutPost: (n) => createPost(firstHeldOutSeed + n, 'held-out').text,
    judge: judge === 'facts' ? judgeFacts : judgeTone,
    shift: (post) => {
      const duration = parsePost(post)?.find(({ kind }) => kind === 'duration')?.value ?? '';
      return /days|years/.test(duration) ? 1 : 0;
    },
  };
}
