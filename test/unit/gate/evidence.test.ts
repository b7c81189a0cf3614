/** Gathers evidence from a real policy and a real store, and compares the numbers with an independent forward pass. */

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { checkGateSettings, judge } from '../../../src/gate/index.js';
import { loadPackage, type Package } from '../../../src/package/index.js';
import {
  type CompletionRequest,
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicyVersion,
} from '../../../src/policy/index.js';
import { isHeldOut } from '../../../src/replay/index.js';
import type { RewardedCompletion, RewardModel } from '../../../src/reward/index.js';
import { addTraffic, gather, openTraffic, smallGate, type Traffic } from '../../support/gate/traffic.js';
import { collect, makeVersion, ReferenceModel, randomTokens, request } from '../../support/policy/policy.js';
import { openStepped } from '../../support/policy/stepped.js';
import { tinyDirectory } from '../../support/tiny.js';

let pkg: Package;
let base: PolicyVersion;
let twin: PolicyVersion;
let near: PolicyVersion;
let wild: PolicyVersion;

beforeAll(async () => {
  pkg = await loadPackage(tinyDirectory);
  base = await makeVersion(pkg, 0, 0);
  twin = await makeVersion(pkg, 1, 0);
  near = await makeVersion(pkg, 2, 7, 0.3);
  wild = await makeVersion(pkg, 3, 9, 4);
});

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: base, ...options });
  onTestFinished(() => policy.close());
  return policy;
}

/** Opens a policy with traffic of version 0. */
async function setUp(prompts = 12): Promise<{ policy: Policy; traffic: Traffic }> {
  const [policy, traffic] = [await open(), await openTraffic()];
  await addTraffic(traffic, pkg, policy, { prompts });
  return { policy, traffic };
}

/** Wraps a policy and records every request with its complete completions. */
function recording(policy: Policy) {
  const requests: { request: CompletionRequest; tokens: number[][] }[] = [];
  const recorder: Pick<Policy, 'complete' | 'hold' | 'release'> = {
    hold: (version) => policy.hold(version),
    release: (number) => policy.release(number),
    async *complete(asked, signal) {
      const record = { request: asked, tokens: asked.completions.map((): number[] => []) };
      requests.push(record);
      for await (const event of policy.complete(asked, signal)) {
        if (event.type === 'tokens') record.tokens[event.completion]?.push(...event.tokens);
        yield event;
      }
    },
  };
  return { recorder, requests };
}

describe('evidence', () => {
  it('shows no difference between equal weights', async () => {
    const { policy, traffic } = await setUp();
    const evidence = await gather(traffic, pkg, policy, twin);
    expect(evidence.prompts).toHaveLength(12);
    for (const { candidate, live, reference } of evidence.prompts) {
      expect(candidate.map(({ answer }) => answer)).toEqual(live.map(({ answer }) => answer));
      expect(reference).toEqual(live);
      for (const { logRatio } of candidate) expect(Math.abs(logRatio as number)).toBeLessThan(1e-3);
    }
    expect(judge(evidence, checkGateSettings(smallGate)).passed).toBe(true);
  });

  it('holds ln pi − ln pi_ref of the completions that the candidate drew', async () => {
    const { policy, traffic } = await setUp(4);
    const { recorder, requests } = recording(policy);
    const evidence = await gather(traffic, pkg, policy, near, { policy: recorder });
    const [own, reference] = [await ReferenceModel.open(pkg, near.adapter), await ReferenceModel.open(pkg)];
    const expected: number[] = [];
    for (const { request: asked, tokens } of requests.filter(({ request: { version } }) => version === near.number)) {
      for (const drawn of tokens) {
        const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
        expected.push(
          total(await own.logprobs(asked.promptTokens, drawn)) -
            total(await reference.logprobs(asked.promptTokens, drawn)),
        );
      }
    }
    await Promise.all([own.close(), reference.close()]);
    const measured = evidence.prompts.flatMap(({ candidate }) => candidate.map(({ logRatio }) => logRatio as number));
    const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b);
    expect(measured).toHaveLength(8);
    for (const [i, value] of sorted(expected).entries()) expect(sorted(measured)[i]).toBeCloseTo(value, 3);
  });

  it('is gathered with background requests only', async () => {
    const { policy, traffic } = await setUp(4);
    const { recorder, requests } = recording(policy);
    await gather(traffic, pkg, policy, near, { policy: recorder });
    expect(requests.length).toBeGreaterThan(8);
    expect(requests.every(({ request: { background } }) => background === true)).toBe(true);
  });

  it('fails a random adapter, with a reason', async () => {
    const { policy, traffic } = await setUp();
    const { passed, checks } = judge(await gather(traffic, pkg, policy, wild), checkGateSettings(smallGate));
    expect(passed).toBe(false);
    expect(checks.find(({ check }) => check === 'kl')).toMatchObject({ outcome: 'failed' });
  });

  it('needs no policy for weights or figures that are not finite', async () => {
    const { policy, traffic } = await setUp(1);
    const broken = await makeVersion(pkg, 4, 7);
    const [name, tensor] = [...broken.adapter.tensors][3] ?? [];
    if (tensor !== undefined) tensor.data[5] = Number.NaN;
    const { recorder, requests } = recording(policy);
    const evidence = await gather(traffic, pkg, policy, broken, { policy: recorder });
    expect(evidence.notFinite).toBe(`weight 5 of ${name} is NaN`);
    const figure = await gather(traffic, pkg, policy, near, { policy: recorder, metrics: { loss: Number.NaN } });
    expect(figure.notFinite).toBe('the learner reports loss as NaN');
    expect(requests).toEqual([]);
    for (const one of [evidence, figure]) expect(judge(one, checkGateSettings()).passed).toBe(false);
  });

  it('fails finite weights whose logits overflow', async () => {
    const { policy, traffic } = await setUp(4);
    const huge = await makeVersion(pkg, 5, 7, 1e18);
    const evidence = await gather(traffic, pkg, policy, huge);
    expect(evidence.notFinite).toMatch(/probe of its logits failed|logits that are not finite/);
    expect((await policy.status()).heldVersions).toEqual([0]);
  });

  it('makes no requests for checks that are switched off', async () => {
    const { policy, traffic } = await setUp(4);
    const { recorder, requests } = recording(policy);
    const off = { enabled: false };
    const settings = checkGateSettings({ ...smallGate, kl: off, health: off, off_policy: off });
    const { prompts, logged } = await gather(traffic, pkg, policy, near, { policy: recorder, settings });
    expect([prompts, logged, requests]).toEqual([[], [], []]);
  });
});

describe('the prompts of the gate', () => {
  it('are held-out prompts, filled up with the newest others', async () => {
    const { policy, traffic } = await setUp(24);
    const share = 0.2;
    const recent = await traffic.replay.recentPrompts(100);
    const heldOut = recent.filter(({ groupKey: key }) => isHeldOut(key, share)).length;
    expect(heldOut).toBeGreaterThan(1);
    expect(heldOut).toBeLessThan(12);
    const { prompts } = await gather(traffic, pkg, policy, twin, { holdoutShare: share });
    expect(prompts).toHaveLength(12);
    expect(prompts.filter((prompt) => prompt.heldOut)).toHaveLength(heldOut);
    const { checks } = judge({ notFinite: null, prompts, logged: [], rater: null }, checkGateSettings(smallGate));
    expect(checks[1]?.numbers).toMatchObject({ held_out_prompts: heldOut, other_prompts: 12 - heldOut });
  });

  it('are not taken from another package', async () => {
    const [policy, traffic] = [await open(), await openTraffic()];
    await addTraffic(traffic, pkg, policy, { prompts: 3, over: { packageDigest: 'another' } });
    await addTraffic(traffic, pkg, policy, { prompts: 2, firstSeed: 50 });
    expect((await gather(traffic, pkg, policy, twin)).prompts).toHaveLength(2);
  });

  it('are none on a fresh server, so that a finite candidate passes with little known', async () => {
    const [policy, traffic] = [await open(), await openTraffic()];
    const verdict = judge(await gather(traffic, pkg, policy, wild), checkGateSettings());
    expect(verdict.passed).toBe(true);
    expect(verdict.checks.map(({ outcome }) => outcome)).toEqual([
      'passed',
      'skipped',
      'skipped',
      'skipped',
      'skipped',
    ]);
  });
});

describe('a reward model of the gate', () => {
  /** Scores a real property of the text: the share of letters among its characters. */
  const letters = (calls: RewardedCompletion[][] = []): RewardModel => ({
    rater: 'letters',
    async score(items) {
      calls.push([...items]);
      return items.map(({ text }) => (text === '' ? null : (text.match(/[a-z]/gi) ?? []).length / text.length));
    },
  });

  it('scores all completions of a version in one call, and each score stays with its completion', async () => {
    const { policy, traffic } = await setUp(6);
    const calls: RewardedCompletion[][] = [];
    const { prompts, rater } = await gather(traffic, pkg, policy, near, { rewardModel: letters(calls) });
    expect(rater).toBe('letters');
    expect(calls.map((items) => items.length)).toEqual([12, 12]);
    const expected = await letters().score(calls[0] ?? []);
    expect(prompts.flatMap(({ candidate }) => candidate.map(({ reward }) => reward))).toEqual(expected);
    expect(calls[0]?.[0]?.promptJson).toBe('"What now?"');
    expect(calls[0]?.map(({ tokens }) => pkg.tokenizer.decode(tokens))).toEqual(calls[0]?.map(({ text }) => text));
  });

  it('gives no score if it returns a number that is not finite', async () => {
    const { policy, traffic } = await setUp(3);
    const odd: RewardModel = {
      rater: 'odd',
      score: async (items) => items.map((_, i) => [Number.NaN, null, 1][i % 3] ?? null),
    };
    const { prompts } = await gather(traffic, pkg, policy, near, { rewardModel: odd });
    expect(prompts.flatMap(({ live }) => live.map(({ reward }) => reward))).toEqual([null, null, 1, null, null, 1]);
  });
});

describe('logged completions', () => {
  const byFirstToken = (tokens: readonly number[]): number => (tokens[0] ?? 0) / 300;

  it('are weighed by candidate and live version against the version that wrote them', async () => {
    const [policy, traffic] = [await open(), await openTraffic()];
    await policy.hold(near);
    await addTraffic(traffic, pkg, policy, { prompts: 3, reward: byFirstToken });
    await addTraffic(traffic, pkg, policy, { prompts: 3, firstSeed: 20, version: near.number, reward: byFirstToken });
    const { logged } = await gather(traffic, pkg, policy, near);
    expect(logged).toHaveLength(12);
    expect(new Set(logged.map(({ prompt }) => prompt)).size).toBe(6);
    const model = await ReferenceModel.open(pkg, near.adapter);
    const generations = await traffic.replay.readGenerations([1, 2, 3].map((seed) => `generation-${seed}-0`));
    for (const { promptTokens, tokens, logprobs } of generations) {
      const under = await model.logprobs([...promptTokens], [...tokens]);
      const ratio = under.reduce((sum, value, i) => sum + value - (logprobs[i] as number), 0);
      const found = logged.find(({ reward }) => Math.abs(reward - byFirstToken([...tokens])) < 1e-9);
      expect(found?.candidate).toBeCloseTo(ratio, 3);
      expect(found?.live).toBe(0);
    }
    await model.close();
    // A completion that the candidate wrote itself has the ratio 1.
    expect(logged.filter(({ candidate }) => candidate === 0)).toHaveLength(6);
  });

  it('are left out if sampling was truncated, the score is missing or the prompt trains', async () => {
    const [policy, traffic] = [await open(), await openTraffic()];
    const truncated = JSON.stringify({ temperature: 1, topP: 0.9, topK: 0, minP: 0 });
    await addTraffic(traffic, pkg, policy, { prompts: 2, reward: byFirstToken, over: { samplingJson: truncated } });
    await addTraffic(traffic, pkg, policy, { prompts: 2, firstSeed: 20 });
    expect((await gather(traffic, pkg, policy, near)).logged).toEqual([]);
    await addTraffic(traffic, pkg, policy, { prompts: 30, firstSeed: 40, reward: byFirstToken });
    const all = (await gather(traffic, pkg, policy, near)).logged.length;
    const some = (await gather(traffic, pkg, policy, near, { holdoutShare: 0.2 })).logged.length;
    const none = (await gather(traffic, pkg, policy, near, { holdoutShare: 0 })).logged.length;
    expect([all, none]).toEqual([60, 0]);
    expect(some).toBeGreaterThan(0);
    expect(some).toBeLessThan(40);
  });
});

describe('gathering evidence', () => {
  it('ends at once if it is aborted, and leaves nothing behind', async () => {
    const { policy, traffic } = await setUp();
    const stop = new AbortController();
    const { recorder, requests } = recording(policy);
    const stopping: typeof recorder = {
      ...recorder,
      complete(asked, signal) {
        if (requests.length === 10) stop.abort();
        return recorder.complete(asked, signal);
      },
    };
    await expect(gather(traffic, pkg, policy, near, { policy: stopping, signal: stop.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    const { backgroundRequests, runningSequences, heldVersions } = await policy.status();
    expect({ backgroundRequests, runningSequences, heldVersions }).toEqual({
      backgroundRequests: 0,
      runningSequences: 0,
      heldVersions: [0],
    });
  });

  it('gives way to traffic and still draws the same completions', async () => {
    const { policy, steps } = await openStepped({ pkg, version: base, maxSequences: 2 });
    const traffic = await openTraffic();
    await steps.settle(addTraffic(traffic, pkg, policy, { prompts: 8 }));
    const settings = checkGateSettings({ ...smallGate, samplesPerPrompt: 1 });
    const alone = await steps.settle(gather(traffic, pkg, policy, near, { settings }));
    const { recorder, requests } = recording(policy);
    let done = false;
    const gathering = gather(traffic, pkg, policy, near, { settings, policy: recorder }).finally(() => {
      done = true;
    });
    let answered = 0;
    while (!done) {
      // Two requests take both slots, so that every request of the gate has to give way.
      const prompts = [randomTokens(5, answered), randomTokens(5, answered + 1)];
      await steps.settle(Promise.all(prompts.map((prompt) => collect(policy.complete(request(prompt))))));
      answered += 2;
      // Between two callers the policy has some free turns, mostly too few for a request of the gate.
      for (let turn = 0; turn < (answered % 6 === 0 ? 30 : 4); turn++) await steps.turn();
    }
    const answers = (evidence: typeof alone) =>
      evidence.prompts.map(({ candidate, live }) =>
        [candidate, live].map((drawn) => drawn.map(({ tokens }) => tokens)),
      );
    expect(answers(await gathering)).toEqual(answers(alone));
    expect(answered).toBeGreaterThan(0);
    // Each of 8 prompts is drawn twice and weighed once. Further requests are repetitions after giving way.
    expect(requests.length).toBeGreaterThan(24);
  });

  it('throws the error of the policy if it no longer holds the live version', async () => {
    const { policy, traffic } = await setUp(2);
    await expect(gather(traffic, pkg, policy, near, { live: 9 })).rejects.toMatchObject({
      code: 'VERSION_NOT_SERVABLE',
    });
    expect((await policy.status()).heldVersions).toEqual([0]);
  });
});
