/** Many requests at once on the real worker: nobody starves, memory is bounded, and every text is what it would be alone. */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import {
  type CompletionRequest,
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicyVersion,
  type StartReport,
  type TurnReport,
} from '../../../src/policy/index.js';
import { type Collected, collect, makeLongPackage, makeVersion, randomTokens, request } from './support.js';

/** Bytes of one column of the package: 2 layers, key and value, 2 heads of 8 floats. */
const columnBytes = 2 * 2 * 2 * 8 * 4;
const greedy = { temperature: 0 };

let pkg: Package;
let versions: PolicyVersion[];
let remove: () => Promise<void>;

beforeAll(async () => {
  const long = await makeLongPackage(1000);
  remove = long.remove;
  pkg = await loadPackage(long.directory);
  versions = await Promise.all([0, 1, 2].map((number) => makeVersion(pkg, number, number)));
});
afterAll(() => remove());

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const [version, ...held] = versions as [PolicyVersion, ...PolicyVersion[]];
  const policy = await openPolicy({ pkg, version, held, ...options });
  onTestFinished(() => policy.close());
  return policy;
}

const tokensOf = ({ candidates }: Collected) => candidates.map(({ tokens }) => tokens);

describe('a turn', () => {
  test('holds a chunk of prompts at most and a step of every row, whatever versions and lengths run', async () => {
    const turns: TurnReport[] = [];
    const policy = await open({ prefillChunk: 32, observer: { onTurn: (turn) => turns.push(turn) } });
    const streams = [0, 1, 2].map((version) =>
      policy.complete(request(randomTokens(20 + 150 * version, version), { version, sampling: { maxTokens: 400 } })),
    );
    let waiting = 3;
    let started: () => void = () => undefined;
    const allStarted = new Promise<void>((resolve) => {
      started = resolve;
    });
    const running = streams.map((events) => {
      let first = true;
      return collect(events, ({ type }) => {
        if (type !== 'tokens' || !first) return;
        first = false;
        waiting -= 1;
        if (waiting === 0) started();
      });
    });
    await allStarted;
    const from = turns.length;
    await Promise.all(
      [5, 6].map((seed) => collect(policy.complete(request(randomTokens(600, seed), { sampling: { maxTokens: 1 } })))),
    );
    const during = turns.slice(from).filter(({ prefillTokens }) => prefillTokens > 0);
    await Promise.all(running);
    expect(during.length).toBeGreaterThanOrEqual((2 * 600) / 32 - 2);
    for (const turn of turns) expect(turn.prefillTokens).toBeLessThanOrEqual(32);
    for (const { decodedRows, groups, prefillMs, decodeMs } of during) {
      expect([decodedRows, groups]).toEqual([3, 3]);
      expect(Math.min(prefillMs, decodeMs)).toBeGreaterThan(0);
    }
    expect(turns.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0)).toBe(20 + 170 + 320 + 1200);
  });

  test('serves a later request before the many candidates of an earlier one', async () => {
    const policy = await open({ maxSequences: 4 });
    let finished = 0;
    const many = collect(policy.complete(request([1, 2, 3], { n: 64, sampling: { maxTokens: 40 } })), ({ type }) => {
      if (type === 'finished') finished += 1;
    });
    while ((await policy.stats()).runningSequences < 4);
    await Promise.all(
      [7, 8, 9].map((token) => collect(policy.complete(request([token], { sampling: { maxTokens: 40 } })))),
    );
    expect(finished).toBeLessThan(16);
    expect((await many).candidates).toHaveLength(64);
  });

  test('reports how long requests waited', async () => {
    const reports: StartReport[] = [];
    const policy = await open({ maxSequences: 1, observer: { onStarted: (report) => reports.push(report) } });
    await Promise.all([10, 20].map((length) => collect(policy.complete(request(randomTokens(length, length))))));
    expect(reports).toMatchObject([
      { promptTokens: 10, cachedPromptTokens: 0 },
      { promptTokens: 20, cachedPromptTokens: 0 },
    ]);
    expect(reports[0]?.queuedMs).toBeGreaterThanOrEqual(0);
    expect(reports[1]?.queuedMs).toBeGreaterThan(reports[0]?.queuedMs as number);
  });
});

describe('memory', () => {
  test('of one sequence of full context is needed to open, and the message says how much that is', async () => {
    const needed = 1024 * columnBytes;
    await expect(open({ kvMemoryBytes: needed - 1 })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining(String(needed)),
    });
    await open({ kvMemoryBytes: needed });
  });

  test('is never exceeded: what does not fit waits, however many slots there are', async () => {
    const kvMemoryBytes = 1024 * columnBytes;
    const turns: TurnReport[] = [];
    const policy = await open({ kvMemoryBytes, maxSequences: 64, observer: { onTurn: (turn) => turns.push(turn) } });
    const alone = await open();
    const requests = Array.from({ length: 24 }, (_, i) =>
      request(randomTokens(10 + 17 * i, i), { n: 1 + (i % 4), sampling: { ...greedy, maxTokens: 20 + 25 * (i % 7) } }),
    );
    const all = Promise.all(requests.map((each) => collect(policy.complete(each))));
    let most = 0;
    for (let running = true; running; ) {
      const { kvBytesUsed, kvBytesBudget, queuedRequests, runningSequences } = await policy.stats();
      expect(kvBytesBudget).toBe(kvMemoryBytes);
      most = Math.max(most, kvBytesUsed);
      running = queuedRequests + runningSequences + kvBytesUsed > 0;
    }
    expect(most).toBeLessThanOrEqual(kvMemoryBytes);
    expect(most).toBeGreaterThan(kvMemoryBytes / 2);
    expect(Math.max(...turns.map(({ decodedRows }) => decodedRows))).toBeLessThanOrEqual(8);
    for (const [i, result] of (await all).entries()) {
      expect(tokensOf(result)).toEqual(tokensOf(await collect(alone.complete(requests[i] as CompletionRequest))));
    }
  });

  test('for one sequence only serves requests with several candidates one candidate after the other', async () => {
    const policy = await open({ kvMemoryBytes: 1024 * columnBytes });
    const result = await collect(
      policy.complete(request(randomTokens(600, 1), { n: 3, sampling: { ...greedy, maxTokens: 300 } })),
    );
    const [first, ...others] = tokensOf(result);
    expect(first).toHaveLength(300);
    expect(others).toEqual([first, first]);
    expect((await policy.stats()).kvBytesUsed).toBe(0);
  });

  test('that a version filled with numbers that are not finite does no harm to the next', async () => {
    const broken = await makeVersion(pkg, 9, 5, 1e30);
    const policy = await open({
      held: [broken],
      prefixCacheBytes: 0,
      prefillChunk: 512,
      kvMemoryBytes: 4096 * columnBytes,
    });
    const good = () =>
      collect(policy.complete(request(randomTokens(600, 3), { n: 2, sampling: { ...greedy, maxTokens: 60 } })));
    const bad = () => collect(policy.complete(request(randomTokens(500, 4), { n: 2, version: 9 })));
    const expected = await collect(
      (await open()).complete(request(randomTokens(600, 3), { n: 2, sampling: { ...greedy, maxTokens: 60 } })),
    );
    expect((await bad()).candidates.map(({ reason }) => reason)).toEqual(['error', 'error']);
    expect(tokensOf(await good())).toEqual(tokensOf(expected));
    const [beside] = await Promise.all([good(), bad(), bad()]);
    expect(tokensOf(beside)).toEqual(tokensOf(expected));
    expect(tokensOf(await good())).toEqual(tokensOf(expected));
    expect((await policy.stats()).kvBytesUsed).toBe(0);
  });
});

describe('what was computed before', () => {
  test("lets a chat's next turn compute only what is new", async () => {
    const policy = await open();
    const prompt = randomTokens(50, 1);
    const answer = tokensOf(
      await collect(policy.complete(request(prompt, { sampling: { ...greedy, maxTokens: 80 } }))),
    );
    const next = [...prompt, ...(answer[0] as number[]), ...randomTokens(20, 2)];
    const second = await collect(policy.complete(request(next, { sampling: greedy })));
    // All but the answer's last token was computed: four whole blocks of 129.
    expect(second.cachedPromptTokens).toBe(128);
    expect((await policy.stats()).prefixCache).toMatchObject({ hitTokens: 128, lookedUpTokens: 200 });
    const cold = await collect((await open({ prefixCacheBytes: 0 })).complete(request(next, { sampling: greedy })));
    expect(tokensOf(second)).toEqual(tokensOf(cold));
  });

  test('is shared by requests that come together: their common beginning is computed once', async () => {
    const turns: TurnReport[] = [];
    const policy = await open({ prefillChunk: 64, observer: { onTurn: (turn) => turns.push(turn) } });
    const system = randomTokens(512, 1);
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        collect(policy.complete(request([...system, i, i + 1], { sampling: greedy }))),
      ),
    );
    const computed = turns.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0);
    expect(computed).toBe(512 + 8 * 2);
    const cold = await open({ prefixCacheBytes: 0 });
    for (const [i, result] of results.entries()) {
      const expected = await collect(cold.complete(request([...system, i, i + 1], { sampling: greedy })));
      expect(tokensOf(result)).toEqual(tokensOf(expected));
    }
  });
});

describe('whatever arrives, is cancelled or read slowly', () => {
  const arrival = fc.record({
    prompt: fc.nat(11),
    n: fc.integer({ min: 1, max: 4 }),
    version: fc.nat(2),
    maxTokens: fc.integer({ min: 1, max: 120 }),
    background: fc.boolean(),
    /** Steps of the whole policy before it is submitted. */
    after: fc.nat(60),
    fate: fc.constantFrom('read', 'read', 'read', 'cancel early', 'cancel late', 'left', 'read slowly'),
  });
  const promptOf = (index: number) =>
    randomTokens([3, 31, 32, 33, 64, 90, 127, 128, 200, 333, 500, 64][index] as number, index % 4);

  test('every stream ends, slots and memory return, and each text is what its request alone would give', async () => {
    const alone = await open({ prefixCacheBytes: 0 });
    const known = new Map<string, number[]>();
    const expected = async (prompt: number, version: number) => {
      const key = `${prompt} ${version}`;
      let tokens = known.get(key);
      if (tokens === undefined) {
        const sampling = { ...greedy, maxTokens: 450 };
        tokens = tokensOf(
          await collect(alone.complete(request(promptOf(prompt), { version, sampling }))),
        )[0] as number[];
        known.set(key, tokens);
      }
      return tokens;
    };
    let [parks, gaveWay] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 4, maxLength: 24 }), async (arrivals) => {
        const policy = await openPolicy({
          pkg,
          version: versions[0] as PolicyVersion,
          held: versions.slice(1),
          maxSequences: 6,
          prefillChunk: 48,
          kvMemoryBytes: 6 * 1024 * columnBytes,
          // Little, so that blocks come and go.
          prefixCacheBytes: 30 * 32 * columnBytes,
        });
        const fast: Promise<unknown>[] = [];
        const slow: (() => Promise<void>)[] = [];
        const play = async ({ prompt, n, version, maxTokens, background, fate }: (typeof arrivals)[number]) => {
          const slowly = fate === 'read slowly' && slow.length === 0;
          const most = slowly ? 450 : maxTokens;
          const count = slowly ? 1 : n;
          const abort = new AbortController();
          const events = policy.complete(
            request(promptOf(prompt), { n: count, version, background, sampling: { ...greedy, maxTokens: most } }),
            abort.signal,
          );
          if (fate === 'left') {
            for await (const event of events) if (event.type === 'tokens') break;
            return;
          }
          if (fate === 'cancel early') abort.abort();
          const iterator = events[Symbol.asyncIterator]();
          const check = async () => {
            let seen = 0;
            const { candidates } = await collect({ [Symbol.asyncIterator]: () => iterator }, (event) => {
              if (event.type === 'tokens' && ++seen === 3 && fate === 'cancel late') abort.abort();
            });
            expect(candidates).toHaveLength(count);
            const whole = await expected(prompt, version);
            for (const { tokens, reason } of candidates) {
              expect(reason).toBe(tokens.length === most ? 'length' : 'cancelled');
              if (!fate.startsWith('cancel') && !background) expect(reason).toBe('length');
              if (reason === 'cancelled' && !fate.startsWith('cancel')) gaveWay += 1;
              expect(tokens).toEqual(whole.slice(0, tokens.length));
            }
          };
          if (!slowly) return check();
          await iterator.next();
          slow.push(check);
        };
        let steps = 0;
        for (const each of arrivals) {
          steps += each.after;
          while ((await policy.stats()).steps < steps) {
            const { runningSequences, queuedRequests } = await policy.stats();
            if (runningSequences + queuedRequests === 0) break;
          }
          fast.push(play(each));
        }
        await Promise.all(fast);
        parks += (await policy.stats()).parkedRequests;
        await Promise.all(slow.map((check) => check()));
        const nothing = { runningSequences: 0, parkedRequests: 0, kvBytesUsed: 0, queuedRequests: 0, queuedTokens: 0 };
        // What was left behind ends with the next turn.
        while ((await policy.stats()).kvBytesUsed > 0);
        expect(await policy.stats()).toMatchObject(nothing);
        await policy.close();
      }),
      { numRuns: 12, seed: 11 },
    );
    expect(parks).toBeGreaterThan(2);
    expect(gaveWay).toBeGreaterThan(5);
  });
});
