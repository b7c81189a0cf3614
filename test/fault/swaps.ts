/** Makes many swaps while streams run, and checks that no request is refused, cut or mixed and that memory stays flat. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished } from 'vitest';
import { loadPackage } from '../../src/package/index.js';
import { openPolicy, type PolicyVersion, type SwapReport, type TurnReport } from '../../src/policy/index.js';
import { type Collected, collect, makeVersion, randomTokens, request } from '../support/policy/policy.js';
import { tinyDirectory } from '../support/tiny.js';
import { until } from '../support/until.js';

const clients = 6;
const maxLiveVersions = 3;
const weights = 5;
const sampling = { temperature: 0, maxTokens: 30 };

export interface SwapPlan {
  /** Swaps until the allocators of the thread have reached their final size. */
  readonly warmUpSwaps: number;
  /** Swaps after the warm-up. */
  readonly swaps: number;
  /** Rank of the adapters. It is large enough that versions which are never released are visible in the memory. */
  readonly rank: number;
}

export async function swapUnderLoad(plan: SwapPlan): Promise<void> {
  const { warmUpSwaps, rank } = plan;
  const swaps = warmUpSwaps + plan.swaps;
  setFlagsFromString('--expose-gc');
  // For threads that start from now on: the space that V8 takes for young objects would hide leaks.
  setFlagsFromString('--max-semi-space-size=4');
  setFlagsFromString('--min-semi-space-size=4');
  const collectGarbage = runInNewContext('gc') as () => void;
  const pkg = await loadPackage(tinyDirectory);
  const adapters = await Promise.all(Array.from({ length: weights }, (_, i) => makeVersion(pkg, i, i, 0.1, rank)));
  const versionOf = (number: number): PolicyVersion => ({ ...(adapters[number % weights] as PolicyVersion), number });
  const prompts = Array.from({ length: clients }, (_, client) => randomTokens(40 + 7 * client, client));
  const expected = await expectedTokens();

  const turns: TurnReport[] = [];
  const reports: SwapReport[] = [];
  const policy = await openPolicy({
    pkg,
    version: versionOf(0),
    maxLiveVersions,
    maxSequences: 8,
    observer: { onTurn: (turn) => turns.push(turn), onSwap: (report) => reports.push(report) },
  });
  onTestFinished(() => policy.close());

  let swapping = true;
  let served = 0;
  const seen = new Set<number>();
  const streams = prompts.map(async (prompt, client) => {
    while (swapping) {
      const result = await collect(policy.complete(request(prompt, { n: 1 + (client % 2), sampling })));
      expect(result.adapterDigest).toBe(versionOf(result.version).adapterDigest);
      for (const { tokens, reason } of result.completions) {
        expect(reason).toBe('length');
        expect(tokens).toEqual(expected[result.version % weights]?.[client]);
      }
      seen.add(result.version);
      served += 1;
    }
  });
  const residentMb: number[] = [];
  for (let number = 1; number <= swaps; number++) {
    await until(() => served >= number / 2, 'requests have come between two swaps', { everyMs: 1 });
    expect((await policy.swap(versionOf(number))).probe.verdict).toBe('proved');
    if (number % 10 !== 0) continue;
    // Version 0 is held forever.
    expect((await policy.status()).heldVersions.length).toBeLessThanOrEqual(maxLiveVersions + 1);
    collectGarbage();
    residentMb.push(process.memoryUsage().rss / 1e6);
  }
  swapping = false;
  await Promise.all(streams);

  expect(reports).toHaveLength(swaps);
  expect(seen.size).toBeGreaterThan(swaps / 14);
  const early = median(residentMb.slice(warmUpSwaps / 10, warmUpSwaps / 10 + 5));
  const late = median(residentMb.slice(-5));
  expect(late - early).toBeLessThan(0.08 * early);
  for (const { durationMs, waitedMs } of reports) expect(durationMs).toBeGreaterThanOrEqual(waitedMs);
  expect(turns.some(({ swapMs }) => swapMs > 0)).toBe(true);
  expect(Math.max(...turns.map(({ groups }) => groups))).toBeLessThanOrEqual(2 * (maxLiveVersions + 1));
  expect(await policy.status()).toMatchObject({ runningSequences: 0, kvBytesUsed: 0, liveVersion: swaps });

  /** The answer of each version to each client, from a policy that holds this version alone. */
  async function expectedTokens(): Promise<(readonly number[] | undefined)[][]> {
    const answers: (readonly number[] | undefined)[][] = [];
    for (const version of adapters) {
      await using alone = await openPolicy({ pkg, version, prefixCacheBytes: 0 });
      const results: Collected[] = [];
      for (const prompt of prompts) results.push(await collect(alone.complete(request(prompt, { sampling }))));
      answers.push(results.map(({ completions }) => completions[0]?.tokens));
    }
    return answers;
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
