/** Many requests together: none starves, memory is bounded, and each gets the tokens that it would get alone. */

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import type {
  CompletionRequest,
  PolicyOptions,
  PolicyVersion,
  StartReport,
  TurnReport,
} from '../../../src/policy/index.js';
import {
  type Collected,
  collect,
  makeLongPackage,
  makeVersion,
  randomTokens,
  request,
} from '../../support/policy/policy.js';
import { openStepped } from '../../support/policy/stepped.js';

/** Bytes of one column of the package: 2 layers, key and value, 2 heads of 8 floats. */
const columnBytes = 2 * 2 * 2 * 8 * 4;
const greedy = { temperature: 0 };

let pkg: Package;
let versions: PolicyVersion[];

beforeAll(async () => {
  const long = await makeLongPackage(1000);
  pkg = await loadPackage(long);
  versions = await Promise.all([0, 1, 2].map((number) => makeVersion(pkg, number, number)));
});

function open(options: Partial<PolicyOptions> = {}) {
  const [version, ...held] = versions as [PolicyVersion, ...PolicyVersion[]];
  return openStepped({ pkg, version, held, ...options });
}

/** Opens a policy without a prefix cache and returns a function that runs one request alone. */
async function openAlone(): Promise<(asked: CompletionRequest) => Promise<Collected>> {
  const { policy, steps } = await open({ prefixCacheBytes: 0 });
  return (asked) => steps.settle(collect(policy.complete(asked)));
}

const tokensOf = ({ completions }: Collected) => completions.map(({ tokens }) => tokens);

describe('a turn', () => {
  test('computes at most one chunk of prompts and one step of every row, whatever versions and lengths run', async () => {
    const turns: TurnReport[] = [];
    const { policy, steps } = await open({ prefillChunk: 32, observer: { onTurn: (turn) => turns.push(turn) } });
    let started = 0;
    const running = [0, 1, 2].map((version) => {
      const prompt = randomTokens(20 + 150 * version, version);
      let first = true;
      return collect(policy.complete(request(prompt, { version, sampling: { maxTokens: 400 } })), ({ type }) => {
        if (type === 'tokens' && first) started += 1;
        if (type === 'tokens') first = false;
      });
    });
    await steps.until(() => started === 3);
    const from = turns.length;
    const more = [5, 6].map((seed) =>
      collect(policy.complete(request(randomTokens(600, seed), { sampling: { maxTokens: 1 } }))),
    );
    await steps.settle(Promise.all(more));
    const during = turns.slice(from).filter(({ prefillTokens }) => prefillTokens > 0);
    await steps.settle(Promise.all(running));
    expect(during).toHaveLength(Math.ceil((2 * 600) / 32));
    for (const turn of turns) expect(turn.prefillTokens).toBeLessThanOrEqual(32);
    for (const { decodedRows, groups, prefillMs, decodeMs } of during) {
      expect([decodedRows, groups]).toEqual([3, 3]);
      expect(Math.min(prefillMs, decodeMs)).toBeGreaterThan(0);
    }
    expect(turns.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0)).toBe(20 + 170 + 320 + 1200);
  });

  test('serves a later request before the many completions of an earlier one', async () => {
    const { policy, steps } = await open({ maxSequences: 4 });
    let finished = 0;
    const many = collect(policy.complete(request([1, 2, 3], { n: 64, sampling: { maxTokens: 40 } })), ({ type }) => {
      if (type === 'finished') finished += 1;
    });
    await steps.until(({ runningSequences }) => runningSequences === 4);
    const later = [7, 8, 9].map((token) => collect(policy.complete(request([token], { sampling: { maxTokens: 40 } }))));
    await steps.settle(Promise.all(later));
    // These are the four that ran, and the one whose turn came beside the three later ones.
    expect(finished).toBe(5);
    expect((await steps.settle(many)).completions).toHaveLength(64);
  });

  test('reports how long requests waited', async () => {
    const reports: StartReport[] = [];
    const observer = { onStarted: (report: StartReport) => void reports.push(report) };
    const { policy, steps } = await open({ maxSequences: 1, observer });
    await steps.settle(
      Promise.all([10, 20].map((length) => collect(policy.complete(request(randomTokens(length, length)))))),
    );
    expect(reports).toMatchObject([
      { promptTokens: 10, cachedPromptTokens: 0 },
      { promptTokens: 20, cachedPromptTokens: 0 },
    ]);
    expect(reports[0]?.queuedMs).toBeGreaterThanOrEqual(0);
    expect(reports[1]?.queuedMs).toBeGreaterThan(reports[0]?.queuedMs as number);
  });
});

describe('memory', () => {
  test('must hold one sequence of full context, or opening is refused with the number of bytes', async () => {
    const needed = 1024 * columnBytes;
    await expect(open({ kvMemoryBytes: needed - 1 })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringContaining(String(needed)),
    });
    await open({ kvMemoryBytes: needed });
  });

  test('is never exceeded: requests that do not fit wait, however many slots are free', async () => {
    const kvMemoryBytes = 1024 * columnBytes;
    const turns: TurnReport[] = [];
    const observer = { onTurn: (turn: TurnReport) => void turns.push(turn) };
    const { policy, steps } = await open({ kvMemoryBytes, maxSequences: 64, observer });
    const requests = Array.from({ length: 24 }, (_, i) =>
      request(randomTokens(10 + 17 * i, i), { n: 1 + (i % 4), sampling: { ...greedy, maxTokens: 20 + 25 * (i % 7) } }),
    );
    const all = Promise.all(requests.map((each) => collect(policy.complete(each))));
    let most = 0;
    await steps.until(({ kvBytesUsed, kvBytesBudget, queuedRequests, runningSequences }) => {
      expect(kvBytesBudget).toBe(kvMemoryBytes);
      most = Math.max(most, kvBytesUsed);
      return queuedRequests + runningSequences + kvBytesUsed === 0;
    });
    expect(most).toBeLessThanOrEqual(kvMemoryBytes);
    expect(most).toBeGreaterThan(kvMemoryBytes / 2);
    expect(Math.max(...turns.map(({ decodedRows }) => decodedRows))).toBeLessThanOrEqual(8);
    const alone = await openAlone();
    for (const [i, result] of (await all).entries()) {
      expect(tokensOf(result)).toEqual(tokensOf(await alone(requests[i] as CompletionRequest)));
    }
  });

  test('for only one sequence serves several completions one after the other', async () => {
    const { policy, steps } = await open({ kvMemoryBytes: 1024 * columnBytes });
    const asked = request(randomTokens(600, 1), { n: 3, sampling: { ...greedy, maxTokens: 300 } });
    const result = await steps.settle(collect(policy.complete(asked)));
    const [first, ...others] = tokensOf(result);
    expect(first).toHaveLength(300);
    expect(others).toEqual([first, first]);
    expect((await policy.status()).kvBytesUsed).toBe(0);
  });

  test('with numbers that are not finite, left by one version, does not harm requests on another', async () => {
    const broken = await makeVersion(pkg, 9, 5, 1e30);
    const { policy, steps } = await open({
      held: [broken],
      prefixCacheBytes: 0,
      prefillChunk: 512,
      kvMemoryBytes: 4096 * columnBytes,
    });
    const asked = request(randomTokens(600, 3), { n: 2, sampling: { ...greedy, maxTokens: 60 } });
    const good = () => collect(policy.complete(asked));
    const bad = () => collect(policy.complete(request(randomTokens(500, 4), { n: 2, version: 9 })));
    const expected = await (await openAlone())(asked);
    expect((await steps.settle(bad())).completions.map(({ reason }) => reason)).toEqual(['error', 'error']);
    expect(tokensOf(await steps.settle(good()))).toEqual(tokensOf(expected));
    const [beside] = await steps.settle(Promise.all([good(), bad(), bad()]));
    expect(tokensOf(beside)).toEqual(tokensOf(expected));
    expect(tokensOf(await steps.settle(good()))).toEqual(tokensOf(expected));
    expect((await policy.status()).kvBytesUsed).toBe(0);
  });
});

describe('reuse of computed prompts', () => {
  test('lets the next turn of a chat compute only its new part', async () => {
    const { policy, steps } = await open();
    const prompt = randomTokens(50, 1);
    const asked = request(prompt, { sampling: { ...greedy, maxTokens: 80 } });
    const answer = tokensOf(await steps.settle(collect(policy.complete(asked))));
    const next = request([...prompt, ...(answer[0] as number[]), ...randomTokens(20, 2)], { sampling: greedy });
    const second = await steps.settle(collect(policy.complete(next)));
    // The first request computed 129 of its 130 tokens, which are four whole blocks.
    expect(second.cachedPromptTokens).toBe(128);
    expect((await policy.status()).prefixCache).toMatchObject({ hitTokens: 128, lookedUpTokens: 200 });
    expect(tokensOf(second)).toEqual(tokensOf(await (await openAlone())(next)));
  });

  test('computes the common beginning of requests that arrive together only once', async () => {
    const turns: TurnReport[] = [];
    const { policy, steps } = await open({ prefillChunk: 64, observer: { onTurn: (turn) => turns.push(turn) } });
    const system = randomTokens(512, 1);
    const asked = Array.from({ length: 8 }, (_, i) => request([...system, i, i + 1], { sampling: greedy }));
    const results = await steps.settle(Promise.all(asked.map((each) => collect(policy.complete(each)))));
    const computed = turns.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0);
    expect(computed).toBe(512 + 8 * 2);
    const alone = await openAlone();
    for (const [i, result] of results.entries()) {
      expect(tokensOf(result)).toEqual(tokensOf(await alone(asked[i] as CompletionRequest)));
    }
  });
});

describe('whatever requests arrive, are cancelled or are read slowly', () => {
  const arrival = fc.record({
    prompt: fc.nat(11),
    n: fc.integer({ min: 1, max: 4 }),
    version: fc.nat(2),
    maxTokens: fc.integer({ min: 1, max: 120 }),
    background: fc.boolean(),
    /** Turns after the arrival before it. */
    after: fc.nat(60),
    fate: fc.constantFrom('read', 'read', 'read', 'cancel early', 'cancel late', 'left', 'read slowly'),
  });
  const promptOf = (index: number) =>
    randomTokens([3, 31, 32, 33, 64, 90, 127, 128, 200, 333, 500, 64][index] as number, index % 4);

  test('every stream ends, all slots and memory become free, and each request gets its own tokens', async () => {
    const alone = await openAlone();
    const known = new Map<string, number[]>();
    const expected = async (prompt: number, version: number) => {
      const key = `${prompt} ${version}`;
      let tokens = known.get(key);
      if (tokens === undefined) {
        const sampling = { ...greedy, maxTokens: 450 };
        tokens = tokensOf(await alone(request(promptOf(prompt), { version, sampling })))[0] as number[];
        known.set(key, tokens);
      }
      return tokens;
    };
    let [parks, gaveWay] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 4, maxLength: 24 }), async (arrivals) => {
        const { policy, steps } = await open({
          maxSequences: 6,
          prefillChunk: 48,
          kvMemoryBytes: 6 * 1024 * columnBytes,
          // The memory is small, so that blocks are evicted.
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
            const { completions } = await collect({ [Symbol.asyncIterator]: () => iterator }, (event) => {
              if (event.type === 'tokens' && ++seen === 3 && fate === 'cancel late') abort.abort();
            });
            expect(completions).toHaveLength(count);
            const whole = await expected(prompt, version);
            for (const { tokens, reason } of completions) {
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
        for (const each of arrivals) {
          for (let turn = 0; turn < each.after && (await steps.turn()); turn++);
          fast.push(play(each));
        }
        await steps.settle(Promise.all(fast));
        parks += (await policy.status()).parkedRequests;
        await steps.settle(Promise.all(slow.map((check) => check())));
        // Requests whose readers have left end with the next turn.
        await steps.until(({ kvBytesUsed }) => kvBytesUsed === 0);
        const nothing = { runningSequences: 0, parkedRequests: 0, kvBytesUsed: 0, queuedRequests: 0, queuedTokens: 0 };
        expect(await policy.status()).toMatchObject(nothing);
      }),
      { numRuns: 8, seed: 11 },
    );
    expect(parks).toBeGreaterThan(2);
    expect(gaveWay).toBeGreaterThan(5);
  });
});
