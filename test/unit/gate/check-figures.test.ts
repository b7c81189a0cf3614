/** The exact figures of each check, from a few samples that can be computed by hand, and its bounds from both sides. */

import { describe, expect, it } from 'vitest';
import {
  type CheckName,
  type CheckResult,
  checkGateSettings,
  describeVerdict,
  type Evidence,
  type GateSettingsInput,
  judge,
  type LoggedEvidence,
  type PromptEvidence,
  type SampleFigures,
} from '../../../src/gate/index.js';

let answers = 0;

function sample(figures: Partial<SampleFigures> = {}): SampleFigures {
  const plain = { tokens: 10, endOfSequence: true, empty: false, repeated: 0, logRatio: null, reward: null };
  return { ...plain, answer: answers++, ...figures };
}

type Samples = readonly Partial<SampleFigures>[];

function prompt(candidate: Samples, live: Samples = [], reference: Samples = [], heldOut = false): PromptEvidence {
  return { heldOut, candidate: candidate.map(sample), live: live.map(sample), reference: reference.map(sample) };
}

function result(check: CheckName, evidence: Partial<Evidence>, settings: GateSettingsInput): CheckResult {
  const whole: Evidence = { notFinite: null, prompts: [], logged: [], rater: 'judge', ...evidence };
  return judge(whole, checkGateSettings(settings)).checks.find((one) => one.check === check) as CheckResult;
}

const figures = (numbers: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, expect.closeTo(value, 12)]));

describe('the check of KL', () => {
  const settings = { kl: { minPrompts: 2 } };
  const ratios = (...values: readonly (number | null)[]): Samples => values.map((logRatio) => ({ logRatio }));
  const check = (candidate: number, live: number | null) =>
    result('kl', { prompts: [1, 2].map(() => prompt(ratios(candidate), ratios(live))) }, settings);

  it('averages over the samples of a prompt first, and leaves out samples without a measurement', () => {
    const first = [{ logRatio: 1, tokens: 4 }, { logRatio: 3, tokens: 6 }, { tokens: 99 }];
    const prompts = [
      prompt(first, ratios(4, 6), [], true),
      prompt([{ logRatio: 5, tokens: 10 }], ratios(null)),
      prompt(ratios(null), ratios(null)),
    ];
    expect(result('kl', { prompts }, settings).numbers).toEqual(
      figures({
        nats: 3.5,
        standard_error: 1.5,
        nats_per_token: 3.5 / 7.5,
        live_nats: 5,
        held_out_prompts: 1,
        other_prompts: 1,
      }),
    );
  });

  it('has no figure of the live version if none was measured', () => {
    expect(check(1, null).numbers).not.toHaveProperty('live_nats');
  });

  it('passes beyond the bound if the live version is at least as far, and fails if it is nearer', () => {
    expect(check(20, 20)).toMatchObject({ outcome: 'passed', detail: expect.stringContaining('not farther than') });
    expect(check(20, 19.9)).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('above the bound') });
    expect(check(20, null).outcome).toBe('failed');
    expect(check(9, 20)).toMatchObject({
      outcome: 'passed',
      detail: expect.stringContaining('within the bound of 10'),
    });
  });

  it('is made on the least number of prompts, and skipped on one less', () => {
    const one = result('kl', { prompts: [prompt(ratios(1), ratios(1), [], true)] }, settings);
    expect(one).toMatchObject({ outcome: 'skipped', numbers: { held_out_prompts: 1, other_prompts: 0 } });
    expect(check(1, 1).outcome).toBe('passed');
  });
});

describe('the check by a reward model', () => {
  const rewards = (...values: readonly (number | null)[]): Samples => values.map((reward) => ({ reward }));
  const prompts = [
    prompt(rewards(0.125, 0.375), rewards(0.5)),
    prompt(rewards(0.125), rewards(0.5, 0.75, null)),
    prompt(rewards(1), rewards(null)),
    prompt(rewards(null), rewards(1)),
  ];
  const check = (standardErrors: number, maxLoss = 0) =>
    result('reward_model', { prompts }, { standardErrors, reward_model: { minPrompts: 2, maxLoss } });

  it('pairs the mean rewards of both versions on each prompt on which both have one', () => {
    expect(check(2).numbers).toEqual(
      figures({
        reward: 0.1875,
        live_reward: 0.5625,
        loss: 0.375,
        standard_error: 0.125,
        held_out_prompts: 0,
        other_prompts: 2,
      }),
    );
  });

  it('fails if the loss exceeds chance and the accepted loss, and passes at either bound', () => {
    expect(check(2.9)).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('worse than chance') });
    expect(check(3)).toMatchObject({ outcome: 'passed', detail: expect.not.stringContaining('chance') });
    expect(check(2, 0.37).outcome).toBe('failed');
    expect(check(2, 0.375).outcome).toBe('passed');
  });
});

describe('the importance estimate', () => {
  /** Two prompts with two completions each; one of them has twice the weight under the candidate. */
  const logged = (doubled: number): LoggedEvidence[] =>
    [1, 0, 1, 1].map((reward, i) => ({
      prompt: i < 2 ? 0 : 1,
      reward,
      candidate: i === doubled ? Math.log(2) : 0,
      live: 0,
    }));
  const check = (doubled: number, standardErrors = 2, off_policy: object = {}) => {
    const settings = { standardErrors, off_policy: { minEffective: 2, maxLoss: 0.1, ...off_policy } };
    return result('off_policy', { logged: logged(doubled) }, settings);
  };

  it('is the weighted mean of the rewards, with an error over prompts', () => {
    expect(check(0)).toMatchObject({ outcome: 'passed', detail: expect.not.stringContaining('chance') });
    expect(check(0).numbers).toEqual(
      figures({
        reward: 0.8,
        live_reward: 0.75,
        loss: -0.05,
        standard_error: 0.09,
        effective_samples: 25 / 7,
        live_effective_samples: 4,
        completions: 4,
      }),
    );
  });

  it('fails if the loss exceeds chance and the accepted loss', () => {
    expect(check(1).numbers).toMatchObject(figures({ reward: 0.6, loss: 0.15, standard_error: 0.07 }));
    expect(check(1)).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('worse than chance') });
    expect(check(1, 2.2).outcome).toBe('passed');
    expect(check(1, 2, { maxLoss: 0.16 }).outcome).toBe('passed');
  });

  it('needs the least effective sample size for both versions', () => {
    const plain = logged(-1);
    expect(result('off_policy', { logged: plain }, { off_policy: { minEffective: 4 } }).outcome).toBe('passed');
    expect(check(1, 2, { minEffective: 3.5 }).outcome).toBe('failed');
    expect(check(1, 2, { minEffective: 3.6 }).outcome).toBe('skipped');
    const swapped = logged(1).map(({ candidate, live, ...item }) => ({ ...item, candidate: live, live: candidate }));
    const skipped = result('off_policy', { logged: swapped }, { off_policy: { minEffective: 3.6 } });
    expect(skipped.outcome).toBe('skipped');
  });

  it('is the same for log-ratios that are shifted by a constant, however large', () => {
    const shifted = logged(1).map((item) => ({ ...item, candidate: item.candidate - 2000, live: 1500 }));
    const settings = { off_policy: { minEffective: 2 } };
    expect(result('off_policy', { logged: shifted }, settings).numbers).toMatchObject(
      figures({ reward: 0.6, live_reward: 0.75 }),
    );
  });

  it('has an infinite error on a single prompt, which is left out of the figures', () => {
    const one = logged(1).map((item) => ({ ...item, prompt: 7 }));
    const single = result('off_policy', { logged: one }, { off_policy: { minEffective: 2 } });
    expect(single.outcome).toBe('passed');
    expect(single.numbers).not.toHaveProperty('standard_error');
  });

  it('is skipped without logged completions', () => {
    expect(result('off_policy', {}, {})).toMatchObject({ outcome: 'skipped', numbers: {} });
  });
});

describe('the check of health', () => {
  const settings = { health: { minPrompts: 2 } };
  const twice = (candidate: Partial<SampleFigures>, live: Partial<SampleFigures>, reference: Samples = []) =>
    result('health', { prompts: [1, 2].map(() => prompt([candidate], [live], reference)) }, settings);

  it('averages over the samples of a prompt first, on prompts of both versions', () => {
    const prompts = [
      prompt(
        [
          { tokens: 10, repeated: 0.2, endOfSequence: false, answer: -1 },
          { tokens: 20, repeated: 0.4, empty: true, answer: -2 },
        ],
        [{ tokens: 10, repeated: 0.1, answer: -3 }],
      ),
      prompt(
        [{ tokens: 30, repeated: 0.7, endOfSequence: false, answer: -1 }],
        [{ tokens: 20, repeated: 0.3, answer: -4 }],
        [{ tokens: 40, repeated: 0.6, empty: true }],
        true,
      ),
      prompt([{ tokens: 999 }]),
      prompt([], [{ tokens: 999 }]),
    ];
    expect(result('health', { prompts }, settings).numbers).toEqual(
      figures({
        length_tokens: 22.5,
        live_length_tokens: 15,
        reference_length_tokens: 40,
        repeated_share: 0.5,
        live_repeated_share: 0.2,
        reference_repeated_share: 0.6,
        unended_share: 0.75,
        live_unended_share: 0,
        reference_unended_share: 0,
        empty_share: 0.25,
        live_empty_share: 0,
        reference_empty_share: 1,
        same_share: 0.75,
        live_same_share: 0,
        reference_same_share: 0,
        held_out_prompts: 1,
        other_prompts: 1,
      }),
    );
  });

  it('passes at the bounds of length and fails beyond them', () => {
    const at = (tokens: number, live: number) => {
      const prompts = [1, 2].map(() => prompt([{ tokens }], [{ tokens: live }]));
      return result('health', { prompts }, { health: { minPrompts: 2, maxLengthFactor: 1.5 } }).outcome;
    };
    expect([at(15, 10), at(15.1, 10), at(10, 15), at(9.9, 15)]).toEqual(['passed', 'failed', 'passed', 'failed']);
  });

  it('passes at the bound of a share and fails beyond it', () => {
    const at = (repeated: number) => {
      const prompts = [1, 2].map(() => prompt([{ repeated }], [{ repeated: 0.25 }]));
      return result('health', { prompts }, { health: { minPrompts: 2, maxRepeatedRise: 0.25 } }).outcome;
    };
    expect([at(0.5), at(0.51), at(0)]).toEqual(['passed', 'failed', 'passed']);
  });

  it('has wider bounds against the reference, and passes a candidate no farther from it than the live version', () => {
    const at = (candidate: number, live: number) =>
      twice({ repeated: candidate }, { repeated: live }, [{ repeated: 0.4 }]);
    expect(at(0.47, 0.45).outcome).toBe('passed');
    expect(at(0.48, 0.45)).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('of the reference') });
    expect(at(0.48, 0.48).outcome).toBe('passed');
    expect(at(0.56, 0.48)).toMatchObject({ outcome: 'failed', detail: expect.stringContaining('of the live version') });
  });

  it('compares with the reference only on enough prompts with its samples', () => {
    const prompts = [
      prompt([{ repeated: 0.48 }], [{ repeated: 0.45 }], [{ repeated: 0.4 }]),
      prompt([{ repeated: 0.48 }], [{ repeated: 0.45 }], [{ repeated: 0.4 }]),
      prompt([{ repeated: 0.48 }], [{ repeated: 0.45 }]),
    ];
    expect(result('health', { prompts }, { health: { minPrompts: 3 } })).toMatchObject({
      outcome: 'passed',
      detail: expect.stringContaining('are within bounds'),
    });
    expect(result('health', { prompts }, settings).outcome).toBe('failed');
  });

  it('fails a drift towards shorter completions that is small against the live version', () => {
    expect(twice({ tokens: 20 }, { tokens: 24 }, [{ tokens: 40 }]).outcome).toBe('failed');
    expect(twice({ tokens: 24 }, { tokens: 20 }, [{ tokens: 40 }]).outcome).toBe('passed');
  });

  it('passes a rise that chance explains', () => {
    const prompts = [prompt([{ repeated: 0 }], [{ repeated: 0.3 }]), prompt([{ repeated: 0.6 }], [{ repeated: 0.1 }])];
    expect(result('health', { prompts }, { ...settings, standardErrors: 1 }).outcome).toBe('passed');
    expect(result('health', { prompts }, { ...settings, standardErrors: 0.1 }).outcome).toBe('failed');
  });

  it('counts an answer as shared only if another prompt has it too', () => {
    const own = [prompt([{ answer: -1 }, { answer: -1 }], [{}]), prompt([{ answer: -2 }], [{}])];
    expect(result('health', { prompts: own }, settings).numbers.same_share).toBe(0);
  });

  it('lists each habit that is worse', () => {
    const { detail } = twice({ tokens: 30, empty: true }, { tokens: 10 });
    expect(detail).toBe(
      '30.0 tokens per completion against 10.0 (3.00 times) of the live version; ' +
        '100.0 % of the completions are empty against 0.0 % of the live version',
    );
  });
});

it('the check of finite numbers reports the number that is not finite', () => {
  expect(result('finite', { notFinite: 'weight 7 of up_proj is NaN' }, {})).toMatchObject({
    outcome: 'failed',
    detail: 'weight 7 of up_proj is NaN',
  });
  expect(result('finite', {}, {})).toMatchObject({ outcome: 'passed', detail: expect.stringContaining('are finite') });
});

it('a verdict on a few checks adds that little is known only if nothing but finite numbers was checked', () => {
  const prompts = [prompt([{ logRatio: 1 }], [{ logRatio: 1 }])];
  const evidence: Evidence = { notFinite: null, prompts, logged: [], rater: null };
  const few = judge(evidence, checkGateSettings({ kl: { minPrompts: 1 } }));
  expect(describeVerdict(few)).toMatch(/^passed finite, kl; not measured: health: /);
  expect(describeVerdict(judge(evidence, checkGateSettings({})))).toMatch(/^little is known: passed finite; /);
});
