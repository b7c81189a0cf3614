/** What a quantised package is measured on: a file of the user's, or posts that the default policy was never trained on. */

import { createPost, createRandom, createSummary } from '../../models/recipe/world/index.js';
import type { MeasuredText } from '../../src/package/index.js';
import { UsageError } from '../failure.js';
import { readText } from '../flags.js';

const posts = 64;
/** Beyond every post that the default policy was trained on. */
const firstPost = 1_000_000;

/** Held-out posts of the default policy's recipe, each with a summary such as it was trained on. */
export function defaultTexts(): { name: string; texts: MeasuredText[] } {
  const texts = Array.from({ length: posts }, (_, i) => {
    const post = createPost(firstPost + i, 'held-out');
    return { prompt: post.text, completion: createSummary(post, createRandom(firstPost + i, 'summary held-out')) };
  });
  return { name: `${posts} held-out posts of the default policy, on the tokens of their summaries`, texts };
}

/**
 * One document per line, or JSON Lines with `text`, or with `prompt` and `completion`.
 * @throws UsageError naming the line that is neither
 */
export function readTexts(path: string): { name: string; texts: MeasuredText[] } {
  const lines = readText(path).split('\n');
  const json =
    lines
      .find((line) => line.trim() !== '')
      ?.trimStart()
      .startsWith('{') === true;
  const texts = lines.flatMap((line, i): MeasuredText[] => {
    if (line.trim() === '') return [];
    return [json ? parseLine(line, `${path}, line ${i + 1}`) : { text: line }];
  });
  if (texts.length === 0) throw new UsageError(`${path} holds no text to measure on.`);
  return { name: `${texts.length} documents of ${path}`, texts };
}

function parseLine(line: string, where: string): MeasuredText {
  let value: Partial<Record<'text' | 'prompt' | 'completion', unknown>> | null;
  try {
    value = JSON.parse(line) as typeof value;
  } catch {
    throw new UsageError(`${where}: not JSON, though the first line is.`);
  }
  const { text, prompt, completion } = value ?? {};
  if (typeof text === 'string') return { text };
  if (typeof prompt === 'string' && typeof completion === 'string') return { prompt, completion };
  throw new UsageError(`${where}: "text", or "prompt" and "completion", must be there and be strings.`);
}
