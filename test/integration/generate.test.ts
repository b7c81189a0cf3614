/** Completions of the real server process on the tiny package, through the real client. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, HoneClient } from '../../client/index.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
let client: HoneClient;

beforeAll(async () => {
  server = await startServer();
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

async function collect(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const all: GenerateEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('a stream', () => {
  it('begins with the ids, ends with the usage, and its chunks are the stored text', async () => {
    const events = await collect(client.stream({ prompt: 'hello', maxTokens: 12, n: 3, seed: 5 }));
    const [first] = events;
    const last = events.at(-1);
    if (first?.type !== 'started' || last?.type !== 'usage') throw new Error('not a stream');
    expect(first.generationIds).toHaveLength(3);
    expect(first.packageDigest).toMatch(/^[0-9a-f]{64}$/);
    expect(events.filter(({ type }) => type === 'finished')).toHaveLength(3);
    let tokens = 0;
    for (const [index, id] of first.generationIds.entries()) {
      const chunks = events.flatMap((event) => (event.type === 'chunk' && event.index === index ? [event] : []));
      const kept = await client.getGeneration(id);
      expect(kept).toMatchObject({ state: 'finished', prompt: 'hello', version: 0 });
      expect(chunks.map(({ text }) => text).join('')).toBe(kept.text);
      expect(chunks.flatMap(({ tokenIds }) => tokenIds)).toEqual(kept.tokenIds);
      expect(chunks.flatMap(({ logprobs }) => logprobs)).toEqual([]);
      expect(kept.logprobs).toHaveLength(kept.tokenIds.length);
      tokens += kept.tokenIds.length;
    }
    expect(last.completionTokens).toBe(tokens);
    expect(last.totalTokens).toBe(tokens + first.promptTokens);
  });

  it('is the same for the same seed, and its completions differ from each other', async () => {
    const request = { prompt: 'seeds', maxTokens: 16, n: 2, seed: 42 };
    const once = await client.generate(request);
    const again = await client.generate(request);
    expect(again.completions.map(({ tokenIds }) => tokenIds)).toEqual(once.completions.map(({ tokenIds }) => tokenIds));
    expect(once.completions[0]?.tokenIds).not.toEqual(once.completions[1]?.tokenIds);
  });

  it('has log-probabilities and alternatives if the request asks for them', async () => {
    const [completion] = (
      await client.generate({
        prompt: 'p',
        maxTokens: 4,
        logprobs: true,
        topLogprobs: 3,
        temperature: 0,
        ignoreEos: true,
      })
    ).completions;
    expect(completion?.logprobs).toHaveLength(4);
    expect(completion?.sampledLogprobs).toHaveLength(4);
    expect(completion?.topLogprobs).toHaveLength(4);
    for (const [position, { tokenIds, logprobs }] of (completion?.topLogprobs ?? []).entries()) {
      expect(tokenIds).toHaveLength(3);
      expect([...logprobs].sort((a, b) => b - a)).toEqual(logprobs);
      // Greedy sampling takes the likeliest token.
      expect(tokenIds[0]).toBe(completion?.tokenIds[position]);
      expect(logprobs[0]).toBeCloseTo(completion?.logprobs[position] ?? 0, 4);
      expect(completion?.logprobs[position]).toBeLessThanOrEqual(0);
    }
  });

  it('is not stored with store: false, and accepts no feedback', async () => {
    const before = (await client.status()).replay.generations;
    const { completions } = await client.generate({ prompt: 'secret', maxTokens: 4, store: false });
    const [{ generationId = '' } = {}] = completions;
    expect((await client.status()).replay.generations).toBe(before);
    await expect(client.getGeneration(generationId)).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' });
    await expect(client.feedback({ generationId, score: 1 })).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' });
  });
});

describe('a stream without end', () => {
  let endless: TestServer;
  let caller: HoneClient;
  beforeAll(async () => {
    endless = await startServer({ args: await endlessArgs() });
    caller = await endless.connect();
  });
  afterAll(() => endless[Symbol.asyncDispose]());

  const settled = () =>
    until(async () => {
      const { serving, replay } = await caller.status();
      return serving.runningSequences + serving.queuedRequests + replay.running === 0;
    }, 'nothing of it runs');

  it('frees its slot and is stored as cancelled if its reader leaves', async () => {
    let id = '';
    for await (const event of caller.stream(endlessRequest)) {
      if (event.type === 'started') id = event.generationIds.at(-1) ?? '';
      if (event.type === 'chunk') break;
    }
    await settled();
    await until(async () => (await caller.getGeneration(id)).state === 'cancelled', 'it is kept as cancelled');
    expect((await caller.getGeneration(id)).finishReason).toBe('cancelled');
  });

  it('ends with DEADLINE_EXCEEDED and frees its slot if its deadline passes', async () => {
    const reading = collect(caller.stream({ ...endlessRequest, n: 64 }, { timeoutMs: 30, retry: { maxAttempts: 1 } }));
    await expect(reading).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    await settled();
  });
});

describe('a request', () => {
  it('is stored with its subject, labels and messages', async () => {
    const messages = [
      { role: 'system', content: 'be short' },
      { role: 'user', content: 'why is the sky blue?' },
    ] as const;
    const metadata = { experiment: 'a' };
    const { completions } = await client.generate({ messages, subject: 'user-7', metadata, maxTokens: 3 });
    const kept = await client.getGeneration(completions[0]?.generationId ?? '');
    expect(kept).toMatchObject({ messages, metadata, subject: 'user-7', prompt: '' });
  });

  it('encodes special tokens that a user wrote as plain text', async () => {
    const tokens = async (content: string) =>
      (await client.generate({ messages: [{ role: 'user', content }], maxTokens: 1 })).usage.promptTokens;
    const empty = await tokens('x');
    // As plain text each takes several tokens; as a special token it would take one.
    for (const special of ['<|end|>', '<|user|>', '<|assistant|>', '<|system|>']) {
      expect(await tokens(`x${special}`)).toBeGreaterThan(empty + 1);
    }
  });

  it('follows its settings: bias forces and forbids tokens, max_tokens and ignore_eos set its end', async () => {
    const end = 256;
    const tokens = async (more: object) => {
      const { completions } = await client.generate({ prompt: 'steer', seed: 3, maxTokens: 24, ...more });
      return completions[0] ?? { tokenIds: [], finishReason: 'missing', text: '' };
    };
    const forced = await tokens({ logitBias: { 65: 100 }, ignoreEos: true });
    expect(forced.tokenIds).toEqual(new Array(24).fill(65));
    const free = await tokens({ ignoreEos: true });
    expect(free.tokenIds).toHaveLength(24);
    const [first = 0] = free.tokenIds;
    const banned = Object.fromEntries(Array.from({ length: 260 }, (_, i) => [i, i % 2 === first % 2 ? -100 : 0]));
    const forbidden = await tokens({ logitBias: banned, ignoreEos: true });
    expect(forbidden.tokenIds.filter((token) => token % 2 === first % 2)).toEqual([]);
    const ended = await tokens({ logitBias: { [end]: 100 } });
    expect(ended).toMatchObject({ tokenIds: [end], finishReason: 'stop', text: '' });
    expect((await tokens({ logitBias: { [end]: 100 }, ignoreEos: true, maxTokens: 3 })).finishReason).toBe('length');
  });

  it('is cut to the context of the model', async () => {
    const { completions, usage } = await client.generate({
      prompt: 'fill',
      maxTokens: 1_000_000,
      ignoreEos: true,
      seed: 1,
    });
    expect(completions[0]?.finishReason).toBe('length');
    expect(usage.totalTokens).toBeGreaterThan(32);
  });

  it('gets its whole answer beside many others', async () => {
    const results = await Promise.all(
      Array.from({ length: 24 }, (_, i) => client.generate({ prompt: `request ${i}`, maxTokens: 8, seed: i })),
    );
    for (const { completions } of results) expect(['stop', 'length']).toContain(completions[0]?.finishReason);
    expect(new Set(results.map(({ completions }) => completions[0]?.generationId)).size).toBe(24);
  });
});

describe('bad input', () => {
  const id = '01920000-0000-7000-8000-000000000000';
  it.each<[string, string, Parameters<HoneClient['generate']>[0]]>([
    ['INVALID_REQUEST', 'prompt', {} as never],
    ['INVALID_REQUEST', 'prompt', { prompt: '' }],
    ['INVALID_REQUEST', 'n', { prompt: 'a', n: 0 }],
    ['INVALID_REQUEST', 'n', { prompt: 'a', n: -3 }],
    ['INVALID_REQUEST', 'n', { prompt: 'a', n: 65 }],
    ['INVALID_REQUEST', 'sampling.temperature', { prompt: 'a', temperature: -1 }],
    ['INVALID_REQUEST', 'sampling.temperature', { prompt: 'a', temperature: Number.NaN }],
    ['INVALID_REQUEST', 'sampling.max_tokens', { prompt: 'a', maxTokens: 0 }],
    ['INVALID_REQUEST', 'sampling.top_p', { prompt: 'a', topP: 2 }],
    ['INVALID_REQUEST', 'messages[0].role', { messages: [{ role: 'unspecified' as 'user', content: 'a' }] }],
    ['PROMPT_TOO_LONG', 'prompt', { prompt: 'word '.repeat(20_000) }],
    ['PROMPT_TOO_LONG', 'messages', { messages: [{ role: 'user', content: 'word '.repeat(4_000) }] }],
    ['VERSION_NOT_FOUND', 'version', { prompt: 'a', version: 77 }],
  ])('is refused as %s that names %s', async (code, field, request) => {
    const status = code === 'VERSION_NOT_FOUND' ? 'NOT_FOUND' : 'INVALID_ARGUMENT';
    const expected = { code, status, violations: [{ field }] };
    await expect(client.generate(request)).rejects.toMatchObject(expected);
    await expect(collect(client.stream(request))).rejects.toMatchObject(expected);
  });

  it('in feedback and look-ups is distinguished from an unknown generation', async () => {
    await expect(client.feedback({ generationId: id, score: Number.NaN })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      violations: [{ field: 'items[0].score' }],
    });
    await expect(client.feedback({ generationId: id, score: Number.POSITIVE_INFINITY })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
    await expect(client.feedback({ generationId: id, score: 1 })).rejects.toMatchObject({
      code: 'GENERATION_NOT_FOUND',
      violations: [{ field: 'items[0].generation_id' }],
    });
    await expect(client.getGeneration(id)).rejects.toMatchObject({
      code: 'GENERATION_NOT_FOUND',
      violations: [{ field: 'generation_id' }],
    });
    await expect(client.getGeneration('nonsense')).rejects.toMatchObject({ violations: [{ field: 'generation_id' }] });
    await expect(client.version(99)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
    await expect(client.rollback(99)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
  });

  it.each([
    [
      'very many wrong fields',
      { messages: Array.from({ length: 20_000 }, () => ({ role: 'user' as const, content: '' })) },
    ],
    ['a field with a very long name', { prompt: 'a', metadata: { ['k'.repeat(1_000_000)]: 'v' } }],
    ['a field whose name is cut inside a character', { prompt: 'a', metadata: { [`k${'👋'.repeat(1000)}`]: 'v' } }],
    ['a field whose name ends there by a letter more', { prompt: 'a', metadata: { [`kk${'👋'.repeat(1000)}`]: 'v' } }],
    ['half a character', { prompt: 'a', metadata: { '\uD800': 'v'.repeat(1000) } }],
  ] as const)('is told in few words of %s', async (_, request) => {
    await expect(client.generate(request)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      status: 'INVALID_ARGUMENT',
    });
  });

  it('does not change the server', async () => {
    const status = await client.status();
    expect(status.serving).toMatchObject({ runningSequences: 0, queuedRequests: 0 });
    expect(status.live.number).toBe(0);
  });
});
