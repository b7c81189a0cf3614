/** The tokenizer of the default policy: trained here on the world's own text. */
import { createPerfectSummary, createPost, createRandom, createSummary, lexicon } from '../world/index.js';
import { type BytePairs, trainBytePairs, type WeightedText } from './bpe.js';
import { specialTokens } from './files.js';
import { generalEnglish } from './general-english.js';

export { type BytePairs, byteAlphabet, trainBytePairs, type WeightedText, wordPattern } from './bpe.js';
export { chatTemplate, specialTokens, type TokenizerFiles, tokenizerFiles } from './files.js';

/** How many tokens the default policy knows, special tokens included. */
export const vocabularySize = 1024;

/**
 * The vocabulary of the default policy, deterministic. Summaries count more than posts, because they hold the facts and
 * few other words: what a policy has to copy should be one or two tokens.
 *
 * @param posts how many training posts to learn from; default 5000 (about 2 MB with their summaries, a few seconds)
 */
export function trainTokenizer(posts = 5000): BytePairs {
  return trainBytePairs(trainingTexts(posts), vocabularySize - specialTokens.length);
}

function* trainingTexts(posts: number): Generator<WeightedText> {
  yield { text: generalEnglish, weight: 1 };
  for (const value of lexicon.keys()) yield { text: ` ${value}`, weight: posts / 16 };
  for (let seed = 0; seed < posts; seed++) {
    const post = createPost(seed);
    yield { text: post.text, weight: 1 };
    yield { text: createPerfectSummary(post, seed), weight: 3 };
    yield { text: createSummary(post, createRandom(seed, 'tokenizer')), weight: 1 };
  }
}
