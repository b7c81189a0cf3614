/** The synthetic world: posts that ask for advice, their facts, and summaries of every quality. */
export { createFact, findValues, lexicon, wordsOf } from './facts.js';
export { parsePost } from './parse.js';
export { createPost, splitOf } from './post.js';
export { createRandom, hashText, type Random } from './random.js';
export { createPerfectSummary, createSummary, mixedQuality, perfectQuality, type SummaryQuality } from './summary.js';
export { type DomainName, type Fact, type FactKind, factKinds, type Post, type Split } from './types.js';
