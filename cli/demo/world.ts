/** The posts of the demo and the judge that scores completions. The default policy was made for posts like these. */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import judgeFacts from '../../models/recipe/judges/facts.js';
import { createPost, type Post } from '../../models/recipe/world/index.js';
import { UsageError } from '../failure.js';

export type { Post };

/** Scores a completion of a post from 0 to 1; larger is better. */
export type Judge = (post: string, completion: string) => number | Promise<number>;

/** Returns a post of the app's users. It is never a held-out one. */
export function trainingPost(index: number): Post {
  return createPost(firstPost + index, 'train');
}

/** Returns posts that the demo only measures on. */
export function heldOutPosts(count: number): Post[] {
  return Array.from({ length: count }, (_, i) => createPost(firstPost + i, 'held-out'));
}

/** The default policy was trained on posts with smaller numbers only. */
const firstPost = 1_000_000;

/**
 * Loads the default export of a module as the judge, or without a path the judge of facts.
 * @throws UsageError if the module has no such function. The judge throws it if a score is not a number from 0 to 1.
 */
export async function loadJudge(path: string | undefined): Promise<Judge> {
  if (path === undefined) return judgeFacts;
  const judge = await importJudge(path);
  return async (post, completion) => {
    const score: unknown = await judge(post, completion);
    if (typeof score === 'number' && score >= 0 && score <= 1) return score;
    throw new UsageError(`the judge in ${path} returned ${describe(score)}; it must return a number from 0 to 1.`);
  };
}

async function importJudge(path: string): Promise<(post: string, completion: string) => unknown> {
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (thrown) {
    throw new UsageError(`${path} cannot be loaded: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (typeof module.default === 'function') return module.default as (post: string, completion: string) => unknown;
  throw new UsageError(`${path} has no default export that is a function (post, completion) -> number.`);
}

function describe(score: unknown): string {
  return typeof score === 'number' ? String(score) : score === null ? 'null' : `a value of type ${typeof score}`;
}
