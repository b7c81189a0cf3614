/** Makes batches of token sequences: posts with several summaries each, which share the post's tokens in training. */

import { Tokenizer } from '@huggingface/tokenizers';
import type { TrainingRow } from '../../src/learner/index.js';
import { specialTokens, type TokenizerFiles } from './tokenizer/index.js';
import { createPost, createRandom, createSummary, type Split } from './world/index.js';

const endToken = specialTokens.indexOf('<|end|>');
const userToken = specialTokens.indexOf('<|user|>');
const assistantToken = specialTokens.indexOf('<|assistant|>');

/** Encodes plain text as the served tokenizer does. */
export type Encode = (text: string) => number[];

export function createEncoder(files: TokenizerFiles): Encode {
  const tokenizer = new Tokenizer(files['tokenizer.json'], files['tokenizer_config.json']);
  return (text) => tokenizer.encode(text, { add_special_tokens: false }).ids;
}

/** Returns the tokens of the chat template for a single user message, up to the start of the answer. */
export function encodePrompt(encode: Encode, text: string): number[] {
  return [userToken, ...encode(text), endToken, assistantToken];
}

/** Creates `posts` posts with seeds from `firstSeed` on, each with `summariesPerPost` summaries of mixed quality. */
export function createBatch(
  encode: Encode,
  options: {
    readonly split: Split;
    readonly firstSeed: number;
    readonly posts: number;
    readonly summariesPerPost: number;
  },
): TrainingRow[] {
  return Array.from({ length: options.posts }, (_, i) => {
    const seed = options.firstSeed + i;
    const post = createPost(seed, options.split);
    const promptTokens = encodePrompt(encode, post.text);
    return Array.from({ length: options.summariesPerPost }, (_, k) => ({
      promptTokens,
      completionTokens: [...encode(createSummary(post, createRandom(seed, `summary ${options.split} ${k}`))), endToken],
    }));
  }).flat();
}
