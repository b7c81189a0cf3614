import { describe, expect, it } from 'vitest';
import {
  type CheckName,
  type CheckResult,
  checkGateSettings,
  checkNames,
  describeVerdict,
  type Evidence,
  type GateSettings,
  judge,
} from '../../../src/gate/index.js';
import { healthyEvidence, settings, withCandidate } from '../../support/gate/evidence.js';

const healthy = healthyEvidence();

/** For each check, evidence that fails this check and passes all others. */
const spoiled: Record<CheckName, Evidence> = {
  finite: { ...healthy, notFinite: 'weight 7 of model.layers.0.mlp.up_proj.lora_A is NaN' },
  kl: withCandidate(healthy, ({ logRatio }) => ({ logRatio: (logRatio ?? 0) + 20 })),
  health: withCandidate(healthy, ({ tokens }) => ({ tokens: 3 * tokens })),
  reward_model: withCandidate(healthy, ({ reward }) => ({ reward: (reward ?? 0) - 0.3 })),
  off_policy: {
    ...healthy,
    logged: healthy.logged.map((item) => ({ ...item, candidate: item.reward > 0.5 ? -0.7 : 0.7 })),
  },
};

function without(check: CheckName): GateSettings {
  return { ...settings, [check]: { ...settings[check], enabled: false } };
}

function resultOf(check: CheckName, evidence: Evidence, used: GateSettings = settings): CheckResult {
  return judge(evidence, used).checks.find((result) => result.check === check) as CheckResult;
}

describe('the verdict', () => {
  it('passes a healthy candidate, with every check made', () => {
    const verdict = judge(healthy, settings);
    expect(verdict.checks.map(({ check, outcome }) => [check, outcome])).toEqual(
      checkNames.map((check) => [check, 'passed']),
    );
    expect(verdict.passed).toBe(true);
    expect(describeVerdict(verdict)).toBe('passed finite, kl, health, reward_model, off_policy');
  });

  it.each(checkNames)('fails only the check %s on the evidence made for it', (check) => {
    const verdict = judge(spoiled[check], settings);
    expect(verdict.checks.filter(({ outcome }) => outcome === 'failed').map((result) => result.check)).toEqual([check]);
    expect(verdict.passed).toBe(false);
    expect(describeVerdict(verdict)).toContain(`${check}: `);
    // If the check is switched off, the candidate passes.
    const blind = judge(spoiled[check], without(check));
    expect(blind.passed).toBe(true);
    expect(blind.checks.find((result) => result.check === check)).toMatchObject({
      outcome: 'skipped',
      detail: 'it is switched off',
    });
  });

  it('passes a finite candidate of a server without prompts, and adds that little is known', () => {
    const verdict = judge({ notFinite: null, prompts: [], logged: [], rater: null }, settings);
    expect(verdict.passed).toBe(true);
    expect(verdict.checks.map(({ outcome }) => outcome)).toEqual([
      'passed',
      'skipped',
      'skipped',
      'skipped',
      'skipped',
    ]);
    expect(describeVerdict(verdict)).toMatch(
      /^little is known: passed finite; not measured: kl: .*0 prompts.*8 are needed/,
    );
  });

  it('holds figures that survive JSON, even if a measurement is infinite', () => {
    const wild = withCandidate(healthy, () => ({ logRatio: Number.POSITIVE_INFINITY }));
    const none = { ...wild, logged: wild.logged.map((item) => ({ ...item, candidate: Number.NEGATIVE_INFINITY })) };
    const verdict = judge(none, settings);
    expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
    expect(resultOf('kl', none).outcome).toBe('failed');
    expect(resultOf('off_policy', none).outcome).toBe('skipped');
  });
});

describe('the check of KL', () => {
  it('reports nats per completion and per token, and the number of prompts of each kind', () => {
    const evidence = withCandidate(healthy, () => ({ logRatio: 5.2, tokens: 26 }));
    const mixed = { ...evidence, prompts: evidence.prompts.map((prompt, i) => ({ ...prompt, heldOut: i < 10 })) };
    const { numbers, detail } = resultOf('kl', mixed);
    expect(numbers.nats).toBeCloseTo(5.2);
    expect(numbers.nats_per_token).toBeCloseTo(0.2);
    expect(numbers).toMatchObject({ held_out_prompts: 10, other_prompts: 30 });
    expect(detail).toContain('5.20 nats');
  });

  it('passes at the bound and fails just above it', () => {
    const at = (nats: number) =>
      resultOf(
        'kl',
        withCandidate(healthy, () => ({ logRatio: nats })),
      ).outcome;
    expect(at(settings.kl.maxNats)).toBe('passed');
    expect(at(settings.kl.maxNats * 1.001)).toBe('failed');
  });
});

describe('the check of health', () => {
  it.each<[string, RegExp, (prompt: number, index: number) => object]>([
    ['much longer', /\d tokens per completion against/, () => ({ tokens: 50 })],
    ['much shorter', /\d tokens per completion against/, () => ({ tokens: 9 })],
    ['with repeated n-grams', /n-grams are repeated against/, () => ({ repeated: 0.3 })],
    ['without an end', /have no end against/, (prompt) => ({ endOfSequence: prompt % 2 === 0 })],
    ['that are empty', /% of the completions are empty against/, (prompt) => ({ empty: prompt % 4 === 0 })],
    [
      'that are the same for every prompt',
      /also given to other prompts against/,
      (prompt) => ({ answer: -(prompt % 3) - 1 }),
    ],
  ])('fails on completions %s', (_, detail, change) => {
    const result = resultOf(
      'health',
      withCandidate(healthy, (_sample, prompt, index) => change(prompt, index)),
    );
    expect(result).toMatchObject({ outcome: 'failed', detail: expect.stringMatching(detail) });
    expect(result.detail).not.toContain(';');
  });

  it('passes repeated answers if the live version repeats them as often', () => {
    const same = withCandidate(healthy, (_, prompt) => ({ answer: -(prompt % 2) - 1 }));
    const classifier = {
      ...same,
      prompts: same.prompts.map(({ candidate, ...prompt }) => ({
        ...prompt,
        candidate,
        live: candidate,
        reference: candidate,
      })),
    };
    expect(resultOf('health', classifier).outcome).toBe('passed');
  });

  it('fails a drift away from the reference in steps that are small against the live version', () => {
    const step = 1.2;
    const grown = (times: number) => {
      const longer = withCandidate(healthy, (sample) => ({ tokens: 26 * step ** times, repeated: sample.repeated }));
      return {
        ...longer,
        prompts: longer.prompts.map((prompt) => ({
          ...prompt,
          live: prompt.live.map((sample) => ({ ...sample, tokens: 26 * step ** (times - 1) })),
          reference: prompt.reference.map((sample) => ({ ...sample, tokens: 26 })),
        })),
      };
    };
    expect([1, 2, 3, 4].map((times) => resultOf('health', grown(times)).outcome)).toEqual([
      'passed',
      'passed',
      'failed',
      'failed',
    ]);
    expect(resultOf('health', grown(4)).detail).toContain('of the reference');
  });

  it('passes a candidate that is nearer to the reference than a distant live version', () => {
    const back = {
      ...healthy,
      prompts: healthy.prompts.map((prompt) => ({
        ...prompt,
        candidate: prompt.candidate.map((sample) => ({ ...sample, tokens: 90 })),
        live: prompt.live.map((sample) => ({ ...sample, tokens: 100 })),
      })),
    };
    expect(resultOf('health', back).outcome).toBe('passed');
  });

  it('passes a candidate with one odd completion', () => {
    const odd = withCandidate(healthy, ({ tokens }, prompt, index) => ({
      tokens: prompt + index === 0 ? 3000 : tokens,
    }));
    const { outcome, numbers } = resultOf('health', odd);
    expect((numbers.length_tokens as number) / (numbers.live_length_tokens as number)).toBeGreaterThan(1.5);
    expect(outcome).toBe('passed');
  });
});

describe('the check by a reward model', () => {
  it('leaves out prompts whose completions the model does not score', () => {
    const silent = withCandidate(healthy, ({ reward }, prompt) => ({ reward: prompt < 30 ? null : reward }));
    expect(resultOf('reward_model', silent)).toMatchObject({
      outcome: 'skipped',
      detail: 'it was measured on 10 prompts, at least 16 are needed',
    });
  });

  it('is skipped without a model', () => {
    expect(resultOf('reward_model', { ...healthy, rater: null }).outcome).toBe('skipped');
  });

  it('fails on a small loss that is the same for every prompt', () => {
    const shifted = {
      ...healthy,
      prompts: healthy.prompts.map((prompt) => ({
        ...prompt,
        candidate: prompt.live.map((sample, i) => ({ ...sample, reward: (sample.reward ?? 0) - 0.01 - 0.001 * i })),
      })),
    };
    expect(resultOf('reward_model', shifted).outcome).toBe('failed');
    const patient = checkGateSettings({ reward_model: { maxLoss: 0.02 } });
    expect(resultOf('reward_model', shifted, patient).outcome).toBe('passed');
  });
});

describe('the importance estimate', () => {
  it('is skipped with few effective samples', () => {
    const logged = spoiled.off_policy.logged.map((item, i) => ({ ...item, candidate: i === 0 ? 30 : item.candidate }));
    const result = resultOf('off_policy', { ...healthy, logged });
    expect(result.outcome).toBe('skipped');
    expect(result.numbers.effective_samples).toBeCloseTo(1);
    expect(result.detail).toMatch(/120 logged completions are worth 1\.0 effective samples, at least 32 are needed/);
  });

  it('equals the true value of the candidate in a case with a known one', () => {
    // The logging version draws the two completions, with rewards 1 and 0, half and half; the candidate with 0.8 and 0.2.
    const logged = Array.from({ length: 1000 }, (_, i) => ({
      prompt: i,
      reward: i % 2,
      candidate: Math.log((i % 2 === 1 ? 0.8 : 0.2) / 0.5),
      live: 0,
    }));
    const { numbers } = resultOf('off_policy', { ...healthy, logged });
    expect(numbers.reward).toBeCloseTo(0.8);
    expect(numbers.live_reward).toBeCloseTo(0.5);
    // (sum w)^2 / sum w^2 with weights 1.6 and 0.4, half of each.
    expect(numbers.effective_samples).toBeCloseTo(1000 / 1.36);
    expect(numbers.live_effective_samples).toBeCloseTo(1000);
  });

  it('treats completions of one prompt as dependent', () => {
    const repeated = (prompts: number) => ({
      ...healthy,
      logged: spoiled.off_policy.logged.map((item, i) => ({ ...item, prompt: i % prompts })),
    });
    expect(resultOf('off_policy', repeated(40)).outcome).toBe('failed');
    expect(resultOf('off_policy', repeated(1)).outcome).toBe('passed');
  });
});
