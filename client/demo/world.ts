/** What the demo's people write and how they judge: the world that the default policy was made for. */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import judgeFacts from '../../models/recipe/judges/facts.js';
import { createPost, type Post } from '../../models/recipe/world/index.js';

export type { Post };

/** Scores a completion of a post; larger is better, [0, 1] unless the learner's reward range is set otherwise. */
export type Judge = (post: string, completion: string) => number | Promise<number>;

/** Posts that the app's users bring; none of them is held out. */
export function trainingPost(index: number): Post {
  return createPost(firstPost + index, 'train');
}

/** Posts that are only ever used to measure. */
export function heldOutPosts(count: number): Post[] {
  return Array.from({ length: count }, (_, i) => createPost(firstPost + i, 'held-out'));
}

/** Beyond every post that the default policy was trained on. */
const firstPost = 1_000_000;

/** The judge that comes with Hone, or the default export of a module. */
export async function loadJudge(path: string | undefined): Promise<Judge> {
  if (path === undefined) return judgeFacts;
  const module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
  if (typeof module.default !== 'function') {
    throw new Error(`${path} has no default export that is a function (post, completion) -> number`);
  }
  return module.default as Judge;
}
