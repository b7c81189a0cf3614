/** How requests for completions are checked. */

import { describe, expect, it } from 'vitest';
import { checkGenerate, completionSeed, encodeRequest } from '../../../../src/agent/generation/check-request.js';
import type { GenerateInput } from '../../../../src/agent/generation/types.js';
import type { HoneError } from '../../../../src/errors.js';
import { encodeAtOnce } from '../../../../src/package/index.js';
import type { Package } from '../../../../src/package/types.js';
import { groupKey } from '../../../../src/replay/index.js';

/** The part of a package that the check needs, with one token per character. */
const pkg = {
  digest: 'd'.repeat(64),
  config: { contextLength: 32, vocabularySize: 128 },
  tokenizer: {
    // Two tokens of three bytes, and one of two bytes that are no character by themselves.
    charactersPerToken: 4,
    tokenBytes: { bytes: Buffer.from('abcdef\xff\xfe', 'latin1'), ends: Uint32Array.of(3, 6, 8) },
    encodeText: (text: string) => [...text].map((character) => character.charCodeAt(0) % 128),
    encodeChat: (messages: readonly { content: string }[]) => messages.flatMap(({ content }) => [1, content.length]),
  },
} as unknown as Package;

const parts = {
  pkg,
  encoding: encodeAtOnce(pkg.tokenizer),
  randomSeed: () => 7,
  storeOutage: { keepsAnswers: true },
};
const checked = async (input: GenerateInput) => encodeRequest(checkGenerate(input), parts);

async function refusal(input: GenerateInput): Promise<HoneError> {
  try {
    await checked(input);
  } catch (error) {
    return error as HoneError;
  }
  throw new Error('the request was accepted');
}

const message = { role: 'user', content: 'hi' };

describe('the check of requests', () => {
  it('fills in the defaults of the contract', async () => {
    const { sampling, n, seed, logprobs, store, subject, promptJson } = await checked({ prompt: 'abc' });
    expect(sampling).toEqual({
      maxTokens: 29,
      temperature: 1,
      topP: 1,
      topK: 0,
      minP: 0,
      stop: [],
      ignoreEos: false,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: {},
      topLogprobs: 0,
    });
    expect({ n, seed, logprobs, store, subject }).toEqual({ n: 1, seed: 7, logprobs: false, store: true, subject: '' });
    expect(JSON.parse(promptJson)).toEqual({ prompt: 'abc' });
  });

  it('lowers max_tokens to the room that the prompt leaves', async () => {
    expect((await checked({ prompt: 'abc', sampling: { maxTokens: 10 } })).sampling.maxTokens).toBe(10);
    expect((await checked({ prompt: 'abc', sampling: { maxTokens: 1000 } })).sampling.maxTokens).toBe(29);
    expect((await checked({ prompt: 'a'.repeat(31) })).sampling.maxTokens).toBe(1);
  });

  it.each<[string, GenerateInput]>([
    ['prompt', {}],
    ['prompt', { prompt: '' }],
    ['prompt', { prompt: 'a', messages: [message] }],
    ['messages[1].role', { messages: [message, { role: 'tool', content: 'x' }] }],
    ['messages', { messages: Array(2049).fill(message) }],
    ['n', { prompt: 'a', n: 0 }],
    ['n', { prompt: 'a', n: 65 }],
    ['n', { prompt: 'a', n: 1.5 }],
    ['seed', { prompt: 'a', seed: -1 }],
    ['top_logprobs', { prompt: 'a', topLogprobs: 3 }],
    ['top_logprobs', { prompt: 'a', logprobs: true, topLogprobs: 21 }],
    ['sampling.max_tokens', { prompt: 'a', sampling: { maxTokens: 0 } }],
    ['sampling.temperature', { prompt: 'a', sampling: { temperature: -0.1 } }],
    ['sampling.temperature', { prompt: 'a', sampling: { temperature: Number.NaN } }],
    ['sampling.temperature', { prompt: 'a', sampling: { temperature: Number.POSITIVE_INFINITY } }],
    ['sampling.top_p', { prompt: 'a', sampling: { topP: 0 } }],
    ['sampling.top_p', { prompt: 'a', sampling: { topP: 1.1 } }],
    ['sampling.top_k', { prompt: 'a', sampling: { topK: -1 } }],
    ['sampling.min_p', { prompt: 'a', sampling: { minP: 1 } }],
    ['sampling.stop[1]', { prompt: 'a', sampling: { stop: ['x', ''] } }],
    ['sampling.stop', { prompt: 'a', sampling: { stop: Array.from({ length: 17 }, () => 'x') } }],
    ['sampling.presence_penalty', { prompt: 'a', sampling: { presencePenalty: 3 } }],
    ['sampling.frequency_penalty', { prompt: 'a', sampling: { frequencyPenalty: -3 } }],
    ['sampling.repetition_penalty', { prompt: 'a', sampling: { repetitionPenalty: 0 } }],
    ['sampling.logit_bias["3"]', { prompt: 'a', sampling: { logitBias: { 3: 101 } } }],
    ['sampling.logit_bias', { prompt: 'a', sampling: { logitBias: Object.fromEntries(Array(2049).entries()) } }],
    ['sampling.logit_bias["128"]', { prompt: 'a', sampling: { logitBias: { 128: 1 } } }],
    ['subject', { prompt: 'a', subject: 's'.repeat(257) }],
    ['metadata["someKey"]', { prompt: 'a', metadata: { someKey: 'v'.repeat(513) } }],
    ['metadata', { prompt: 'a', metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ''])) }],
  ])('refuses a bad %s and names that field', async (field, input) => {
    const { code, violations } = await refusal(input);
    expect(code).toBe('INVALID_REQUEST');
    expect(violations.map((violation) => violation.field)).toEqual([field]);
  });

  it('names every field at fault at once, with the number that was given', async () => {
    const { violations } = await refusal({ prompt: 'a', n: 0, sampling: { temperature: -2 } });
    expect(violations.map(({ field }) => field).sort()).toEqual(['n', 'sampling.temperature']);
    expect(violations.map(({ description }) => description).join()).toContain('got -2');
  });

  it('stops looking when ten fields are at fault', async () => {
    let looked = 0;
    const bad = {
      get role() {
        looked += 1;
        return 'nobody';
      },
      content: 'x',
    };
    const { violations } = await refusal({ messages: Array(2048).fill(bad) });
    expect(violations.map(({ field }) => field)).toEqual(Array.from({ length: 10 }, (_, i) => `messages[${i}].role`));
    expect(looked).toBeLessThanOrEqual(20);
    const logitBias = Object.fromEntries(Array.from({ length: 2048 }, (_, token) => [token, 1000]));
    expect((await refusal({ prompt: 'a', sampling: { logitBias } })).violations).toHaveLength(10);
  });

  it('takes an empty message of a chat, as an earlier answer may have been', async () => {
    const messages = [message, { role: 'assistant', content: '' }, message];
    expect((await checked({ messages })).promptTokens).toEqual([1, 2, 1, 0, 1, 2]);
    expect(JSON.parse((await checked({ messages })).promptJson)).toEqual({ messages });
  });

  it('keeps labels whatever they are called', async () => {
    const metadata = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c"}');
    const { metadataJson } = await checked({ prompt: 'a', metadata });
    expect(metadataJson).toBe('{"__proto__":"a","constructor":"b","toString":"c"}');
  });

  it('never repeats the text of a prompt in an error', async () => {
    const { message: text } = await refusal({ messages: [{ role: 'secret role', content: 'secret' }] });
    expect(text).not.toContain('secret');
  });

  it('refuses a whole answer that would be too large by its number of tokens, and streams it', async () => {
    const asked = { prompt: 'a', n: 64, logprobs: true, topLogprobs: 20, sampling: { maxTokens: 31 } };
    // 96 bytes a completion; a token has 8/3 bytes of text, an id of 4, two floats, and alternatives of 10 + 20 * 8.
    const expected = Math.ceil(64 * (96 + 31 * (8 / 3 + 4 + 8 + 170)));
    expect((await checked({ ...asked, maxAnswerBytes: expected })).n).toBe(64);
    expect((await refusal({ ...asked, maxAnswerBytes: expected - 1 })).violations).toEqual([
      { field: 'n', description: expect.stringMatching(new RegExp(`about ${expected} bytes.*StreamGenerate`)) },
    ]);
    expect((await checked(asked)).n).toBe(64);
  });

  it('counts the longest token if nothing could be fetched afterwards', async () => {
    const asked = { prompt: 'a', store: false, sampling: { maxTokens: 31 } };
    // Bytes that are no character become U+FFFD, of three bytes each.
    const expected = 96 + 31 * (6 + 4);
    expect((await checked({ ...asked, maxAnswerBytes: expected })).store).toBe(false);
    expect((await refusal({ ...asked, maxAnswerBytes: expected - 1 })).code).toBe('INVALID_REQUEST');
  });

  it('counts the longest token while the store refuses writes, because nothing is kept then', async () => {
    const mean = Math.ceil(96 + 31 * (8 / 3 + 4));
    const longest = 96 + 31 * (6 + 4);
    const ask = (keepsAnswers: boolean, maxAnswerBytes: number) =>
      encodeRequest(checkGenerate({ prompt: 'a', sampling: { maxTokens: 31 }, maxAnswerBytes }), {
        ...parts,
        storeOutage: { keepsAnswers },
      });
    expect((await ask(true, mean)).store).toBe(true);
    await expect(ask(false, longest - 1)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    // It is kept if the store has room again when the request begins.
    expect((await ask(false, longest)).store).toBe(true);
  });

  it('refuses a prompt that holds an added token which the model does not have', async () => {
    const tokenizer = { ...pkg.tokenizer, encodeText: () => [3, 128] };
    const encoding = encodeAtOnce(tokenizer);
    const encoded = encodeRequest(checkGenerate({ prompt: 'a<image>' }), { ...parts, encoding });
    await expect(encoded).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      violations: [{ field: 'prompt', description: expect.stringContaining('token 128') }],
    });
  });

  it('refuses a prompt that leaves no room for a token with PROMPT_TOO_LONG', async () => {
    for (const [prompt, counted] of [
      ['a'.repeat(32), 'tokens'],
      ['a'.repeat(32 * 4), 'tokens'],
      ['a'.repeat(32 * 4 + 1), 'characters'],
    ] as const) {
      const { code, violations } = await refusal({ prompt });
      expect(code).toBe('PROMPT_TOO_LONG');
      expect(violations).toEqual([
        { field: 'prompt', description: expect.stringContaining(`${prompt.length} ${counted}`) },
      ]);
    }
  });

  it('gives requests one group only if prompt and package are the same', async () => {
    const key = groupKey('p', [1, 2, 300]);
    expect(groupKey('p', [1, 2, 300])).toBe(key);
    expect(new Set([key, groupKey('q', [1, 2, 300]), groupKey('p', [1, 2, 301]), groupKey('p', [1, 2])]).size).toBe(4);
  });

  it('gives each completion its own seed', async () => {
    const seeds = Array.from({ length: 64 }, (_, completion) => completionSeed(0xffff_fff0, completion));
    expect(new Set(seeds).size).toBe(64);
    expect(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)).toBe(true);
    expect(seeds[0]).toBe(0xffff_fff0);
  });
});
