/** The synthetic world: posts that ask for advice, their facts, and summaries of every quality. */
export { findValues, lexicon, wordsOf } from './facts.js';
export { parsePost } from './parse.js';
export { createPost, splitOf } from './post.js';
export { createRandom, hashText, type Random } from './random.js';
export { createPerfectSummary, createSummary, mixedQuality, perfectQuality } from './summary.js';
export type { Fact, FactKind, Post, Split } from './types.js';
