/** What the demo's people write and how they judge: the world that the default policy was made for. */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import judgeFacts from '../../models/recipe/judges/facts.js';
import { createPost, type Post } from '../../models/recipe/world/index.js';
import { UsageError } from '../failure.js';

export type { Post };

/** Scores a completion of a post from 0 to 1; larger is better. */
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

/**
 * The judge that comes with Hone, or the default export of a module.
 * @throws UsageError where there is none; the judge throws one where it gives what is no score
 */
export async function loadJudge(path: string | undefined): Promise<Judge> {
  if (path === undefined) return judgeFacts;
  const judge = await importJudge(path);
  return async (post, completion) => {
    const score: unknown = await judge(post, completion);
    if (typeof score === 'number' && score >= 0 && score <= 1) return score;
    throw new UsageError(`the judge in ${path} gave ${describe(score)}: it must give a number from 0 to 1.`);
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
