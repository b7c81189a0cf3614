import { describe, expect, it } from 'vitest';
import { estimate, shareCovered } from '../../../../cli/demo/statistics.js';
import { noAnswer, Traffic } from '../../../../cli/demo/traffic.js';
import type { HoneClient } from '../../../../client/client.js';
import type { GenerateEvent } from '../../../../client/types/index.js';
import { createRandom } from '../../../../models/recipe/world/index.js';

/** A client with streams that send a token, end or fail when the test calls for it. */
function scriptedClient() {
  const streams: { token(): void; end(): void; fail(): void }[] = [];
  async function* stream(): AsyncGenerator<GenerateEvent> {
    let resume = (_: 'token' | 'end' | 'fail'): void => undefined;
    const tell = (word: 'token' | 'end' | 'fail') => () => resume(word);
    streams.push({ token: tell('token'), end: tell('end'), fail: tell('fail') });
    for (;;) {
      const word = await new Promise<'token' | 'end' | 'fail'>((resolve) => {
        resume = resolve;
      });
      if (word === 'fail') throw new Error('refused');
      if (word === 'end') return;
      yield { type: 'chunk', index: 0, text: 'a', tokenIds: [1], logprobs: [], sampledLogprobs: [], topLogprobs: [] };
    }
  }
  return { client: { stream } as unknown as HoneClient, streams };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('traffic', () => {
  it('counts each token, and counts time once if several requests run', async () => {
    let now = 0;
    const traffic = new Traffic(() => now);
    const { client, streams } = scriptedClient();
    now = 100;
    const both = [traffic.send(client, { prompt: '', n: 1 }), traffic.send(client, { prompt: '', n: 1 })];
    await turn();
    for (const one of streams) one.token();
    await turn();
    now = 300;
    streams[0]?.end();
    expect(await both[0]).toMatchObject({ tokens: 1, texts: ['a'] });
    now = 600;
    expect(traffic.take()).toEqual({ busyMs: 500, tokens: 2 });
    streams[1]?.end();
    await both[1];
    now = 900;
    expect(traffic.take()).toEqual({ busyMs: 0, tokens: 0 });
  });

  it('counts a failed request as ended, and keeps the part of its answer that had come', async () => {
    let now = 0;
    const traffic = new Traffic(() => now);
    const { client, streams } = scriptedClient();
    const answer = noAnswer(1);
    const sent = traffic.send(client, { prompt: '', n: 1 }, answer);
    await turn();
    streams[0]?.token();
    await turn();
    streams[0]?.fail();
    await expect(sent).rejects.toThrow('refused');
    expect(answer).toMatchObject({ texts: ['a'], finished: 0, tokens: 1 });
    now = 1000;
    expect(traffic.take()).toEqual({ busyMs: 0, tokens: 1 });
  });
});

describe('a standard error', () => {
  const random = createRandom(1, 'figures of the demo');
  /** Returns the standard deviation of a value over repeated draws. */
  const spreadOf = (repetitions: number, draw: () => number): number => {
    const values = Array.from({ length: repetitions }, draw);
    return estimate(values).standardError * Math.sqrt(repetitions);
  };

  it('of a mean is the spread of the means of other posts, within 5 %', () => {
    const draw = () => Array.from({ length: 25 }, () => random.next());
    const spread = spreadOf(2000, () => estimate(draw()).mean);
    const told = estimate(Array.from({ length: 2000 }, () => estimate(draw()).standardError)).mean;
    expect(told / spread).toBeGreaterThan(0.95);
    expect(told / spread).toBeLessThan(1.05);
  });

  it('of a share is the spread of the shares of other posts, within 5 %', () => {
    const draw = () => {
      const distances = Array.from({ length: 60 }, () => 0.3 + 0.2 * random.next());
      return shareCovered(
        distances.map((distance) => 0.6 * distance + 0.2 * (random.next() - 0.5)),
        distances,
      );
    };
    const spread = spreadOf(2000, () => draw()?.mean ?? Number.NaN);
    const told = estimate(Array.from({ length: 2000 }, () => draw()?.standardError ?? Number.NaN)).mean;
    expect(told / spread).toBeGreaterThan(0.95);
    expect(told / spread).toBeLessThan(1.05);
  });
});
