import { expect, test } from 'vitest';
import { misfitOf } from '../../../../src/learner/experience/misfit.js';

const limits = { vocabularySize: 10, contextLength: 6 };

function misfit(over: { prompt?: number[]; tokens?: number[]; logprobs?: number[]; origin?: 'edit' | 'sampled' } = {}) {
  const { prompt = [1, 2], tokens = [3, 4], logprobs = tokens.map(() => -1), origin = 'sampled' } = over;
  const lists = { promptTokens: Uint32Array.from(prompt), tokens: Uint32Array.from(tokens) };
  return misfitOf({ origin, ...lists, logprobs: Float32Array.from(logprobs) }, limits);
}

test('a generation that the decoder could have written fits, up to the last token and the last place', () => {
  expect(misfit()).toBeNull();
  expect(misfit({ prompt: [9, 9, 9], tokens: [9, 9, 9] })).toBeNull();
  expect(misfit({ logprobs: [0, 1e-6] })).toBeNull();
});

test.each([
  ['a prompt token outside the vocabulary', { prompt: [1, 10] }, 'promptTokens', /token 1 is 10, .* 0 to 9/],
  ['a completion token outside the vocabulary', { tokens: [4_000_000_000] }, 'tokens', /token 0 is 4000000000/],
  ['more tokens than the context holds', { prompt: [1, 1, 1], tokens: [1, 1, 1, 1] }, 'tokens', /7 tokens.*holds 6/],
  ['a prompt that is longer than the context', { prompt: [1, 1, 1, 1, 1, 1, 1] }, 'promptTokens', /9 tokens/],
  ['too few log-probabilities', { logprobs: [-1] }, 'logprobs', /1 for 2 tokens/],
  ['a log-probability that is no number', { logprobs: [-1, Number.NaN] }, 'logprobs', /number 1 is NaN/],
  ['an infinite log-probability', { logprobs: [Number.NEGATIVE_INFINITY, -1] }, 'logprobs', /number 0 is -Infinity/],
  ['a log-probability above 0', { logprobs: [-1, 0.5] }, 'logprobs', /number 1 is 0.5/],
])('%s does not fit', (_, over, field, description) => {
  expect(misfit(over)).toEqual({ field, description: expect.stringMatching(description) });
});

test("a person's text fits without log-probabilities, and not with tokens outside the vocabulary", () => {
  expect(misfit({ origin: 'edit', logprobs: [] })).toBeNull();
  expect(misfit({ origin: 'edit', logprobs: [], tokens: [10] })?.field).toBe('tokens');
});
