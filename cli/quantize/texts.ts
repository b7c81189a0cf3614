/** The texts that `hone quantize` measures on: a file of the user's, or posts that the default policy never trained on. */

import { createPost, createRandom, createSummary } from '../../models/recipe/world/index.js';
import type { MeasuredText } from '../../src/package/index.js';
import { UsageError } from '../failure.js';
import { readText } from '../flags.js';

const posts = 64;
/** The default policy was trained on posts with smaller numbers only. */
const firstPost = 1_000_000;

/** Creates held-out posts of the default policy's recipe, each with a reference summary. */
export function defaultTexts(): { name: string; texts: MeasuredText[] } {
  const texts = Array.from({ length: posts }, (_, i) => {
    const post = createPost(firstPost + i, 'held-out');
    return { prompt: post.text, completion: createSummary(post, createRandom(firstPost + i, 'summary held-out')) };
  });
  return { name: `${posts} held-out posts of the default policy, on the tokens of their summaries`, texts };
}

/**
 * Reads a file with one document per line, or JSON Lines with `text`, or with `prompt` and `completion`.
 * @throws UsageError that names the first wrong line
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
    throw new UsageError(`${where}: this line is not JSON, but the first line is.`);
  }
  const { text, prompt, completion } = value ?? {};
  if (typeof text === 'string') return { text };
  if (typeof prompt === 'string' && typeof completion === 'string') return { prompt, completion };
  throw new UsageError(`${where}: the line needs the string "text", or the strings "prompt" and "completion".`);
}
