/**
 * If a reader falls behind, nothing is computed for its request until it catches up; its tokens are the same in the
 * end.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { CompletionStream, maxUnreadTokens } from '../../../src/policy/completion-stream.js';
import type {
  CompletionEvent,
  CompletionRequest,
  PolicyOptions,
  PolicyStatus,
  PolicyVersion,
} from '../../../src/policy/index.js';
import { StallWatch } from '../../../src/policy/stall-watch.js';
import { collect, makeLongPackage, makeVersion, randomTokens, request } from '../../support/policy/policy.js';
import { openStepped } from '../../support/policy/stepped.js';

let pkg: Package;
let version: PolicyVersion;

beforeAll(async () => {
  const long = await makeLongPackage(2000);
  pkg = await loadPackage(long);
  version = await makeVersion(pkg, 0, 21);
});

const open = (options: Partial<PolicyOptions> = {}) => openStepped({ pkg, version, ...options });

/** Starts a completion and reads only its first event. */
async function startUnread(
  { policy, steps }: Awaited<ReturnType<typeof open>>,
  asked: CompletionRequest,
  signal?: AbortSignal,
) {
  const events = policy.complete(asked, signal)[Symbol.asyncIterator]();
  expect((await steps.settle(events.next())).value).toMatchObject({ type: 'started' });
  const rest: AsyncIterable<CompletionEvent> = { [Symbol.asyncIterator]: () => events };
  return rest;
}

const isParked = ({ parkedRequests }: PolicyStatus) => parkedRequests === 1;

describe('a request whose reader is slow', () => {
  test('is parked, goes on when it is read, and gives the same text as for a fast reader', async () => {
    const opened = await open({ maxSequences: 4 });
    const { policy, steps } = opened;
    const sampling = { maxTokens: 700, temperature: 0.9, topK: 40 };
    const asked = request(randomTokens(50, 1), { n: 2, seed: 9, sampling });
    const slow = await startUnread(opened, asked);
    const parked = await steps.until(isParked);
    expect(parked.runningSequences).toBe(0);
    expect(parked.kvBytesUsed).toBeGreaterThan(0);
    // The step with which the stream became full, and the step that was already running, may exceed the limit.
    expect(parked.generatedTokens).toBeLessThanOrEqual(2 * (maxUnreadTokens + 2));
    // Other requests get the slots, and nothing more is computed for the slow one.
    const others = await steps.settle(
      Promise.all(
        [1, 2, 3, 4].map((seed) =>
          collect(policy.complete(request(randomTokens(20, seed), { sampling: { maxTokens: 100 } }))),
        ),
      ),
    );
    expect(others.map(({ completions }) => completions[0]?.tokens.length)).toEqual([100, 100, 100, 100]);
    expect((await policy.status()).generatedTokens).toBe(parked.generatedTokens + 400);
    const late = await steps.settle(collect(slow));
    const prompt = await steps.settle(collect(policy.complete(asked)));
    expect(late.completions.map(({ tokens }) => tokens.length)).toEqual([700, 700]);
    expect(late.completions.map(({ text }) => text)).toEqual(prompt.completions.map(({ text }) => text));
    expect(await policy.status()).toMatchObject({ parkedRequests: 0, kvBytesUsed: 0, runningSequences: 0 });
  });

  test('is parked together with its completions that have not started', async () => {
    const opened = await open({ maxSequences: 1 });
    const { policy, steps } = opened;
    const slow = await startUnread(opened, request([1, 2, 3], { n: 3, sampling: { maxTokens: 1000 } }));
    await steps.until(isParked);
    const other = await steps.settle(collect(policy.complete(request([5], { sampling: { maxTokens: 30 } }))));
    expect(other.completions[0]?.tokens).toHaveLength(30);
    const { completions } = await steps.settle(collect(slow));
    expect(completions.map(({ tokens }) => tokens.length)).toEqual([1000, 1000, 1000]);
  });

  test('ends as cancelled and frees its memory if it is cancelled while it is parked', async () => {
    const opened = await open();
    const { steps } = opened;
    const abort = new AbortController();
    const asked = request([1, 2, 3], { n: 2, sampling: { maxTokens: 1500 } });
    const slow = await startUnread(opened, asked, abort.signal);
    await steps.until(isParked);
    abort.abort();
    await steps.until(({ kvBytesUsed }) => kvBytesUsed === 0);
    const { completions } = await steps.settle(collect(slow));
    expect(completions.map(({ reason }) => reason)).toEqual(['cancelled', 'cancelled']);
  });

  test('ends with READER_STALLED and frees its memory if it stays parked for too long', async () => {
    const opened = await open({ maxStalledMs: 30 });
    const { policy, steps } = opened;
    const slow = await startUnread(opened, request([1, 2, 3], { sampling: { maxTokens: 1500 } }));
    // The time starts when the request is parked.
    const ended = async () => {
      while ((await policy.status()).kvBytesUsed > 0) await new Promise(setImmediate);
    };
    await steps.settle(ended());
    let tokens = 0;
    const reading = collect(slow, (event) => {
      if (event.type === 'tokens') tokens += event.tokens.length;
    });
    await expect(reading).rejects.toMatchObject({ code: 'READER_STALLED', kind: 'resource_exhausted' });
    expect(tokens).toBeGreaterThan(maxUnreadTokens);
    expect(await policy.status()).toMatchObject({ parkedRequests: 0, runningSequences: 0 });
  });

  test('does not keep a closing policy open for longer than maxStalledMs', async () => {
    const opened = await open({ maxStalledMs: 30 });
    const slow = await startUnread(opened, request([1, 2, 3], { sampling: { maxTokens: 1500 } }));
    await opened.policy.close();
    await expect(collect(slow)).rejects.toMatchObject({ code: 'READER_STALLED' });
  });
});

describe('a stream of completions', () => {
  const token = { completion: 0, token: 1, text: 'a', logprob: 0, sampledLogprob: 0, top: undefined };

  test('reports once when too much is unread, and again when half of it has been read', async () => {
    const reported: string[] = [];
    const stream = new CompletionStream({
      completions: 2,
      withTop: false,
      onFull: () => reported.push('full'),
      onDrained: () => reported.push('drained'),
    });
    for (let i = 0; i < maxUnreadTokens; i++) {
      stream.add({ ...token, completion: 0 });
      stream.add({ ...token, completion: 1 });
    }
    expect(reported).toEqual([]);
    for (let i = 0; i < 3; i++) stream.add({ ...token, completion: 1 });
    expect(reported).toEqual(['full']);
    const events = stream.read();
    await events.next();
    // The unread tokens are now below the limit, but above half of it.
    expect(reported).toEqual(['full']);
    await events.next();
    expect(reported).toEqual(['full', 'drained']);
  });
});

describe('the watch over stalled readers', () => {
  test('reports the requests whose readers do not catch up in time', () => {
    const timers: { ms: number; ring: () => void; off: boolean }[] = [];
    const stalled: number[] = [];
    const watch = new StallWatch(
      500,
      (request) => stalled.push(request),
      (ms, ring) => {
        const timer = { ms, ring, off: false };
        timers.push(timer);
        return () => {
          timer.off = true;
        };
      },
    );
    watch.start(1);
    watch.start(2);
    watch.stop(1);
    watch.stop(7);
    expect(timers.map(({ ms, off }) => [ms, off])).toEqual([
      [500, true],
      [500, false],
    ]);
    timers[1]?.ring();
    expect(stalled).toEqual([2]);
  });
});
