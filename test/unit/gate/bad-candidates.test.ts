/** Candidates that were trained for the wrong goal, against the gate. */

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type CheckName, type CheckResult, checkGateSettings, judge } from '../../../src/gate/index.js';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { openPolicy, type Policy, type PolicyVersion } from '../../../src/policy/index.js';
import type { RewardModel } from '../../../src/reward/index.js';
import { addTraffic, gather, openTraffic } from '../../support/gate/traffic.js';
import { trainFor } from '../../support/gate/training.js';
import { makeVersion } from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

let pkg: Package;
let base: PolicyVersion;
beforeAll(async () => {
  pkg = await loadPackage(tinyDirectory);
  base = await makeVersion(pkg, 0, 0, 0, 4);
});

async function open(): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: base });
  onTestFinished(() => policy.close());
  return policy;
}

/** A reward model that scores tokens with a judge. */
function asModel(score: (tokens: readonly number[]) => number): RewardModel {
  return { rater: 'judge', score: async (items) => items.map(({ tokens }) => score(tokens)) };
}

const results = (checks: readonly CheckResult[]): Partial<Record<CheckName, string>> =>
  Object.fromEntries(checks.map(({ check, outcome }) => [check, outcome]));

const settings = checkGateSettings({ prompts: 32, maxTokens: 24, kl: { maxNats: 1e6 } });

describe('the gate', () => {
  it('fails a candidate that rambles for reward, by its health', async () => {
    // The judge rewards every occurrence of one word.
    const pays = (tokens: readonly number[]): number => tokens.filter((token) => token === 101).length / 24;
    const policy = await open();
    const traffic = await openTraffic();
    await addTraffic(traffic, pkg, policy, { prompts: 32 });
    const rambler = await trainFor(pays, { pkg, policy, number: 1, rounds: 40, maxTokens: 24 });
    const evidence = await gather(traffic, pkg, policy, rambler, { settings, rewardModel: asModel(pays) });
    const { passed, checks } = judge(evidence, settings);
    const liked = checks.find(({ check }) => check === 'reward_model')?.numbers ?? {};
    expect(liked.reward).toBeGreaterThan(2 * (liked.live_reward as number));
    expect(results(checks)).toMatchObject({ reward_model: 'passed', health: 'failed' });
    expect(checks.find(({ check }) => check === 'health')?.detail).toContain('n-grams are repeated');
    expect(passed).toBe(false);
  });

  it('fails a candidate that was trained on inverted scores, by a correct reward model', async () => {
    // The reward model prefers small tokens, and the candidate learned the opposite.
    const liked = (tokens: readonly number[]): number =>
      1 - tokens.reduce((sum, token) => sum + token, 0) / tokens.length / 260;
    const policy = await open();
    const traffic = await openTraffic();
    await addTraffic(traffic, pkg, policy, { prompts: 32 });
    const inverted = await trainFor((tokens) => 1 - liked(tokens), { pkg, policy, number: 1, rounds: 14 });
    const evidence = await gather(traffic, pkg, policy, inverted, { settings, rewardModel: asModel(liked) });
    const { passed, checks } = judge(evidence, settings);
    expect(results(checks)).toMatchObject({ reward_model: 'failed' });
    expect(passed).toBe(false);
  });
});
