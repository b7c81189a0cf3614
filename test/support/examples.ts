/** Posts of the world with summaries of mixed quality, for tests of the recipe. */
import { createPost, createRandom, createSummary, type Post, type Split } from '../../models/recipe/world/index.js';

/** One example of supervised training. */
export interface Example {
  readonly post: Post;
  /** The content of the user's message: the post's text. */
  readonly prompt: string;
  /** What the assistant answers. */
  readonly summary: string;
}

/** The example of a seed; equal seeds give equal examples. Held-out posts never occur among training posts. */
export function createExample(seed: number, split: Split = 'train'): Example {
  const post = createPost(seed, split);
  return { post, prompt: post.text, summary: createSummary(post, createRandom(seed, `summary ${split}`)) };
}

/** Examples as text to read. */
export function formatExamples(count: number, firstSeed = 0, split: Split = 'train'): string {
  return Array.from({ length: count }, (_, i) => {
    const { post, summary } = createExample(firstSeed + i, split);
    return `${post.domain}: ${post.text}\n  -> ${summary}\n`;
  }).join('\n');
}
