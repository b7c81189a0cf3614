/** Background requests, which no user waits for: they use what is left, and give it back as soon as others need it. */

import { beforeAll, describe, expect, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import type { Policy, PolicyOptions, PolicyVersion, StartReport, TurnReport } from '../../../src/policy/index.js';
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

let pkg: Package;
let versions: PolicyVersion[];

beforeAll(async () => {
  pkg = await loadPackage(await makeLongPackage(1000));
  versions = await Promise.all([0, 1, 2, 3].map((number) => makeVersion(pkg, number, number)));
});

function open(options: Partial<PolicyOptions> = {}) {
  const [version, ...held] = versions as [PolicyVersion, ...PolicyVersion[]];
  return openStepped({ pkg, version, held, ...options });
}

type RequestOptions = NonNullable<Parameters<typeof request>[1]>;

const run = (policy: Policy, maxTokens: number, options: RequestOptions = {}, prompt: number[] = [1, 2, 3]) =>
  collect(policy.complete(request(prompt, { ...options, sampling: { maxTokens } })));
const behind = (policy: Policy, maxTokens: number, options: RequestOptions = {}, prompt: number[] = [1, 2, 3]) =>
  run(policy, maxTokens, { ...options, background: true }, prompt);
const reasonsOf = ({ completions }: Collected) => completions.map(({ reason }) => reason);

describe('background requests', () => {
  test('start after all requests that wait, and give the same tokens as others', async () => {
    const { policy, steps } = await open({ maxSequences: 1 });
    const order: string[] = [];
    const note = (name: string) => (result: Collected) => {
      order.push(name);
      return result;
    };
    const first = run(policy, 60).then(note('first'));
    const background = behind(policy, 60).then(note('background'));
    const second = run(policy, 60, { seed: 2 }).then(note('second'));
    const third = run(policy, 60, { seed: 3 }).then(note('third'));
    const results = await steps.settle(Promise.all([first, background, second, third]));
    expect(order).toEqual(['first', 'second', 'third', 'background']);
    expect(results.flatMap(reasonsOf)).toEqual(['length', 'length', 'length', 'length']);
    expect(results[1]?.completions[0]?.tokens).toEqual(results[0]?.completions[0]?.tokens);
  });

  test('hold at most half of the slots together', async () => {
    const turns: TurnReport[] = [];
    const { policy, steps } = await open({ maxSequences: 6, observer: { onTurn: (turn) => turns.push(turn) } });
    const all = Promise.all([behind(policy, 40, { n: 5 }), ...[1, 2, 3].map(() => behind(policy, 40))]);
    const results = await steps.settle(all);
    expect(Math.max(...turns.map(({ decodedRows }) => decodedRows))).toBe(3);
    expect(results.flatMap(reasonsOf)).toEqual(Array(8).fill('length'));
  });

  test('give way, the youngest first, if another request finds no slot', async () => {
    const { policy, steps } = await open({ maxSequences: 4 });
    const old = behind(policy, 300);
    const young = behind(policy, 300);
    await steps.until(({ runningSequences }) => runningSequences === 2);
    const other = await steps.settle(run(policy, 20, { n: 3 }));
    expect(reasonsOf(other)).toEqual(['length', 'length', 'length']);
    expect(reasonsOf(await steps.settle(young))).toEqual(['cancelled']);
    expect(await policy.status()).toMatchObject({ backgroundRequests: 1 });
    expect(reasonsOf(await steps.settle(old))).toEqual(['length']);
  });

  test('have their runs of the model counted, beside those for others and those in vain', async () => {
    const { policy, steps } = await open({ maxSequences: 4 });
    await steps.settle(run(policy, 20));
    expect((await policy.status()).backgroundRuns).toEqual({ own: 0, others: 0, lost: 0 });
    await steps.settle(behind(policy, 20));
    // The first token comes from the run for the prompt.
    expect((await policy.status()).backgroundRuns).toEqual({ own: 20, others: 0, lost: 0 });
    const old = behind(policy, 300);
    const young = behind(policy, 300);
    const before = await steps.until(({ runningSequences }) => runningSequences === 2);
    await steps.settle(run(policy, 20, { n: 3, seed: 2 }, [9, 8, 7]));
    const after = await policy.status();
    expect(reasonsOf(await steps.settle(young))).toEqual(['cancelled']);
    expect(after.backgroundRuns.lost).toBeGreaterThan(0);
    expect(after.backgroundRuns.lost).toBeLessThanOrEqual(before.backgroundRuns.own - 20);
    // The prompt of the others was computed while the old request waited.
    expect(after.backgroundRuns.others).toBeGreaterThan(0);
    await steps.settle(old);
    // A run that two requests share counts once.
    expect((await policy.status()).backgroundRuns.own).toBeLessThanOrEqual(20 + 2 * 300);
  });

  test('give way if another request finds no memory, even while they are parked', async () => {
    const { policy, steps } = await open({ maxSequences: 8, kvMemoryBytes: 2048 * columnBytes });
    const unread = policy.complete(request([1], { background: true, sampling: { maxTokens: 900 } }));
    const events = unread[Symbol.asyncIterator]();
    await steps.settle(events.next());
    await steps.until(({ parkedRequests }) => parkedRequests === 1);
    const young = behind(policy, 900);
    await steps.until(({ kvBytesUsed, kvBytesBudget }) => kvBytesUsed === kvBytesBudget);
    expect(reasonsOf(await steps.settle(run(policy, 20)))).toEqual(['length']);
    expect(reasonsOf(await steps.settle(young))).toEqual(['cancelled']);
    expect(await policy.status()).toMatchObject({ parkedRequests: 1 });
    expect(reasonsOf(await steps.settle(run(policy, 900, { n: 2 })))).toEqual(['length', 'length']);
    expect(reasonsOf(await steps.settle(collect({ [Symbol.asyncIterator]: () => events })))).toEqual(['cancelled']);
    expect(await policy.status()).toMatchObject({ kvBytesUsed: 0, backgroundRequests: 0, parkedRequests: 0 });
  });

  test('take no place of others in the queue while they wait', async () => {
    const reports: StartReport[] = [];
    const observer = { onStarted: (report: StartReport) => void reports.push(report) };
    const { policy, steps } = await open({ maxSequences: 1, maxQueue: 2, observer });
    const first = run(policy, 100);
    await steps.until(({ runningSequences }) => runningSequences === 1);
    const waiting = [behind(policy, 5), behind(policy, 5)];
    await expect(behind(policy, 5)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(await policy.status()).toMatchObject({ queuedRequests: 0, queuedTokens: 0, backgroundRequests: 2 });
    const others = [run(policy, 5), run(policy, 5)];
    const results = await steps.settle(Promise.all([first, ...others, ...waiting]));
    expect(results.flatMap(reasonsOf)).toEqual(Array(5).fill('length'));
    expect(reports).toHaveLength(3);
  });

  test('get one run of the model per turn while others run, and take turns with it', async () => {
    const turns: TurnReport[] = [];
    const { policy, steps } = await open({ maxSequences: 12, observer: { onTurn: (turn) => turns.push(turn) } });
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
    // While nothing else runs, the group of each version has a step in every turn.
    await steps.until(() => turns.at(-1)?.groups === 3);
    const [from, before] = [turns.length, [...seen]];
    await steps.settle(run(policy, 90, {}, [9]));
    const during = turns.slice(from);
    // In the last turn the other request ends with its own step, so that all three groups have a step too.
    expect(during.map(({ groups }) => groups)).toEqual([...Array(88).fill(2), 4]);
    const grown = seen.map((count, i) => count - (before[i] as number));
    expect(grown.reduce((sum, count) => sum + count, 0)).toBe(88 + 3);
    expect(Math.max(...grown) - Math.min(...grown)).toBeLessThanOrEqual(1);
    abort.abort();
    await steps.settle(Promise.all(background));
  });

  test('have their prompts computed after those of others', async () => {
    let prefilled = 0;
    const onTurn = ({ prefillTokens }: TurnReport) => {
      prefilled += prefillTokens;
    };
    const { policy, steps } = await open({ prefillChunk: 32, observer: { onTurn } });
    const background = behind(policy, 5, {}, randomTokens(900, 1));
    await steps.until(() => prefilled > 0);
    const before = prefilled;
    let needed = 0;
    const other = policy.complete(request(randomTokens(300, 2), { sampling: { maxTokens: 5 } }));
    const read = collect(other, ({ type }) => {
      if (type === 'tokens' && needed === 0) needed = prefilled - before;
    });
    await steps.settle(read);
    // The other prompt needs ten chunks. The turn of the tenth is reported after its tokens.
    expect(needed).toBe(9 * 32);
    expect(reasonsOf(await steps.settle(background))).toEqual(['length']);
  });

  test('end if a swap has to wait for their version', async () => {
    const [, one, two, three] = versions as [PolicyVersion, PolicyVersion, PolicyVersion, PolicyVersion];
    const { policy, steps } = await open({ version: one, held: [], maxLiveVersions: 2 });
    const background = behind(policy, 990);
    await steps.until(({ runningSequences }) => runningSequences === 1);
    await steps.settle(policy.swap(two));
    await steps.settle(policy.swap(three));
    expect(reasonsOf(await steps.settle(background))).toEqual(['cancelled']);
  });

  test('end as cancelled when the policy closes, while other requests run to their end', async () => {
    const { policy, steps } = await open();
    const background = [behind(policy, 990), behind(policy, 990, { n: 40 })];
    const other = run(policy, 50);
    await steps.until(({ runningSequences }) => runningSequences > 2);
    await policy.close();
    expect(reasonsOf(await other)).toEqual(['length']);
    expect(new Set((await Promise.all(background)).flatMap(reasonsOf))).toEqual(new Set(['cancelled']));
  });
});
