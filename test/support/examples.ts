/** Makes posts of the world with summaries of mixed quality, for tests of the recipe. */
import { createPost, createRandom, createSummary, type Post, type Split } from '../../models/recipe/world/index.js';

/** One example of supervised training. */
interface Example {
  readonly post: Post;
  /** The content of the user's message: the post's text. */
  readonly prompt: string;
  /** The answer of the assistant. */
  readonly summary: string;
}

/** Makes the example of a seed. Equal seeds give equal examples. No held-out post is also a training post. */
export function createExample(seed: number, split: Split = 'train'): Example {
  const post = createPost(seed, split);
  return { post, prompt: post.text, summary: createSummary(post, createRandom(seed, `summary ${split}`)) };
}

/** Writes examples as text to read. */
export function formatExamples(count: number, firstSeed = 0, split: Split = 'train'): string {
  return Array.from({ length: count }, (_, i) => {
    const { post, summary } = createExample(firstSeed + i, split);
    return `${post.domain}: ${post.text}\n  -> ${summary}\n`;
  }).join('\n');
}
