/** Trains the tokenizer of the default policy on texts of the synthetic world. */
import { createPerfectSummary, createPost, createRandom, createSummary, lexicon } from '../world/index.js';
import { type BytePairs, trainBytePairs, type WeightedText } from './bpe.js';
import { specialTokens } from './files.js';
import { generalEnglish } from './general-english.js';

export { byteAlphabet, trainBytePairs } from './bpe.js';
export { chatTemplate, specialTokens, type TokenizerFiles, tokenizerFiles } from './files.js';

/** Size of the default policy's vocabulary, including special tokens. */
export const vocabularySize = 1024;

/**
 * Learns the vocabulary of the default policy, always the same one. Summaries weigh more than posts, because they hold
 * the facts and few other words: a fact, which the policy has to copy, should be one or two tokens long.
 *
 * @param posts number of training posts to learn from; the default of 5000 takes a few seconds (2 MB with summaries)
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
