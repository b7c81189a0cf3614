/** Requests that nobody waits for: they get what is left over, and give it back at once. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import {
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicyStats,
  type PolicyVersion,
  type StartReport,
  type TurnReport,
} from '../../../src/policy/index.js';
import { type Collected, collect, makeLongPackage, makeVersion, randomTokens, request } from './support.js';

/** Bytes of one column of the package: 2 layers, key and value, 2 heads of 8 floats. */
const columnBytes = 2 * 2 * 2 * 8 * 4;

let pkg: Package;
let versions: PolicyVersion[];
let remove: () => Promise<void>;

beforeAll(async () => {
  const long = await makeLongPackage(1000);
  remove = long.remove;
  pkg = await loadPackage(long.directory);
  versions = await Promise.all([0, 1, 2, 3].map((number) => makeVersion(pkg, number, number)));
});
afterAll(() => remove());

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const [version, ...held] = versions as [PolicyVersion, ...PolicyVersion[]];
  const policy = await openPolicy({ pkg, version, held, ...options });
  onTestFinished(() => policy.close());
  return policy;
}

async function until(policy: Policy, holds: (stats: PolicyStats) => boolean): Promise<PolicyStats> {
  for (;;) {
    const stats = await policy.stats();
    if (holds(stats)) return stats;
  }
}

type RequestOptions = NonNullable<Parameters<typeof request>[1]>;

const run = (policy: Policy, maxTokens: number, options: RequestOptions = {}, prompt: number[] = [1, 2, 3]) =>
  collect(policy.complete(request(prompt, { ...options, sampling: { maxTokens } })));
const behind = (policy: Policy, maxTokens: number, options: RequestOptions = {}, prompt: number[] = [1, 2, 3]) =>
  run(policy, maxTokens, { ...options, background: true }, prompt);
const reasonsOf = ({ candidates }: Collected) => candidates.map(({ reason }) => reason);

describe('requests in the background', () => {
  test('start when no other request waits, and come to what they would have come to', async () => {
    const policy = await open({ maxSequences: 1 });
    const order: string[] = [];
    const note = (name: string) => (result: Collected) => {
      order.push(name);
      return result;
    };
    const first = run(policy, 60).then(note('first'));
    const background = behind(policy, 60).then(note('background'));
    const second = run(policy, 60, { seed: 2 }).then(note('second'));
    const third = run(policy, 60, { seed: 3 }).then(note('third'));
    const results = await Promise.all([first, background, second, third]);
    expect(order).toEqual(['first', 'second', 'third', 'background']);
    expect(results.flatMap(reasonsOf)).toEqual(['length', 'length', 'length', 'length']);
    expect(results[1]?.candidates[0]?.tokens).toEqual(results[0]?.candidates[0]?.tokens);
  });

  test('hold at most half of the slots together', async () => {
    const turns: TurnReport[] = [];
    const policy = await open({ maxSequences: 6, observer: { onTurn: (turn) => turns.push(turn) } });
    const results = await Promise.all([behind(policy, 40, { n: 5 }), ...[1, 2, 3].map(() => behind(policy, 40))]);
    expect(Math.max(...turns.map(({ decodedRows }) => decodedRows))).toBe(3);
    expect(results.flatMap(reasonsOf)).toEqual(Array(8).fill('length'));
  });

  test('give way, the youngest first, where another finds no slot', async () => {
    const policy = await open({ maxSequences: 4 });
    const old = behind(policy, 900);
    const young = behind(policy, 900);
    await until(policy, ({ runningSequences }) => runningSequences === 2);
    const other = await run(policy, 20, { n: 3 });
    expect(reasonsOf(other)).toEqual(['length', 'length', 'length']);
    expect(reasonsOf(await young)).toEqual(['cancelled']);
    expect(await policy.stats()).toMatchObject({ backgroundRequests: 1 });
    expect(reasonsOf(await old)).toEqual(['length']);
  });

  test('give way where another finds no memory, also while their readers are slow', async () => {
    const policy = await open({ maxSequences: 8, kvMemoryBytes: 2048 * columnBytes });
    const unread = policy.complete(request([1], { background: true, sampling: { maxTokens: 900 } }));
    const events = unread[Symbol.asyncIterator]();
    await events.next();
    await until(policy, ({ parkedRequests }) => parkedRequests === 1);
    const young = behind(policy, 900);
    await until(policy, ({ kvBytesUsed, kvBytesBudget }) => kvBytesUsed === kvBytesBudget);
    expect(reasonsOf(await run(policy, 20))).toEqual(['length']);
    expect(reasonsOf(await young)).toEqual(['cancelled']);
    expect(await policy.stats()).toMatchObject({ parkedRequests: 1 });
    expect(reasonsOf(await run(policy, 900, { n: 2 }))).toEqual(['length', 'length']);
    expect(reasonsOf(await collect({ [Symbol.asyncIterator]: () => events }))).toEqual(['cancelled']);
    expect(await policy.stats()).toMatchObject({ kvBytesUsed: 0, backgroundRequests: 0, parkedRequests: 0 });
  });

  test('that wait for their turn hold nothing up: no swap, and no place in the queue', async () => {
    const reports: StartReport[] = [];
    const observer = { onStarted: (report: StartReport) => void reports.push(report) };
    const policy = await open({ maxSequences: 1, maxQueue: 2, observer });
    const first = run(policy, 100);
    await until(policy, ({ runningSequences }) => runningSequences === 1);
    const waiting = [behind(policy, 5), behind(policy, 5)];
    await expect(behind(policy, 5)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(await policy.stats()).toMatchObject({ queuedRequests: 0, queuedTokens: 0, backgroundRequests: 2 });
    const others = [run(policy, 5), run(policy, 5)];
    const results = await Promise.all([first, ...others, ...waiting]);
    expect(results.flatMap(reasonsOf)).toEqual(Array(5).fill('length'));
    expect(reports).toHaveLength(3);
  });

  test('cost others one run of the model a turn at most, and go on in turns', async () => {
    const turns: TurnReport[] = [];
    const policy = await open({ maxSequences: 12, observer: { onTurn: (turn) => turns.push(turn) } });
    const seen = [0, 0, 0];
    const abort = new AbortController();
    const background = seen.map((_, i) =>
      collect(
        policy.complete(request([i], { version: i + 1, background: true, sampling: { maxTokens: 990 } }), abort.signal),
        (event) => {
          if (event.type === 'tokens') seen[i] = (seen[i] as number) + event.tokens.length;
        },
      ),
    );
    // Alone, each version has its step in every turn.
    await until(policy, () => turns.at(-1)?.groups === 3);
    let [from, before] = [0, [...seen]];
    await collect(policy.complete(request([9], { sampling: { maxTokens: 90 } })), ({ type }) => {
      if (type === 'started') [from, before] = [turns.length, [...seen]];
    });
    const during = turns.slice(from + 1, from + 85);
    expect(during.map(({ groups }) => groups)).toEqual(during.map(() => 2));
    const grown = seen.map((count, i) => count - (before[i] as number));
    for (const count of grown) expect(count).toBeGreaterThan(20);
    abort.abort();
    await Promise.all(background);
  });

  test('do not have their prompts computed before those of others', async () => {
    let prefilled = 0;
    const onTurn = ({ prefillTokens }: TurnReport) => {
      prefilled += prefillTokens;
    };
    const policy = await open({ prefillChunk: 32, observer: { onTurn } });
    const background = behind(policy, 5, {}, randomTokens(900, 1));
    await until(policy, () => prefilled > 0);
    const [before, after] = [prefilled, randomTokens(300, 2)];
    let needed = 0;
    await collect(policy.complete(request(after, { sampling: { maxTokens: 5 } })), ({ type }) => {
      if (type === 'tokens' && needed === 0) needed = prefilled - before;
    });
    expect(needed).toBeLessThan(300 + 3 * 32);
    expect(reasonsOf(await background)).toEqual(['length']);
  });

  test('end with a swap that has to wait for their version', async () => {
    const [, one, two, three] = versions as [PolicyVersion, PolicyVersion, PolicyVersion, PolicyVersion];
    const policy = await open({ version: one, held: [], maxLiveVersions: 2 });
    const background = behind(policy, 990);
    await until(policy, ({ runningSequences }) => runningSequences === 1);
    await policy.swap(two);
    await policy.swap(three);
    expect(reasonsOf(await background)).toEqual(['cancelled']);
  });

  test('end as cancelled when the policy is closed, which waits for the others only', async () => {
    const policy = await openPolicy({ pkg, version: versions[0] as PolicyVersion });
    const background = [behind(policy, 990), behind(policy, 990, { n: 40 })];
    const other = run(policy, 50);
    await until(policy, ({ runningSequences }) => runningSequences > 2);
    await policy.close();
    expect(reasonsOf(await other)).toEqual(['length']);
    expect(new Set((await Promise.all(background)).flatMap(reasonsOf))).toEqual(new Set(['cancelled']));
  });
});
