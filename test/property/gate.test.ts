/** Properties of the verdict: what it does not depend on, in which direction it moves, and how often chance decides it. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CheckName,
  checkGateSettings,
  checkNames,
  type Evidence,
  judge,
  type LoggedEvidence,
  type PromptEvidence,
  type SampleFigures,
} from '../../src/gate/index.js';
import { createNormal, healthyEvidence } from '../support/gate/evidence.js';

const number = (min: number, max: number) => fc.double({ min, max, noNaN: true, noDefaultInfinity: true });

const sample: fc.Arbitrary<SampleFigures> = fc.record({
  tokens: fc.integer({ min: 1, max: 200 }),
  endOfSequence: fc.boolean(),
  empty: fc.boolean(),
  repeated: number(0, 1),
  answer: fc.integer({ min: 0, max: 30 }),
  logRatio: fc.option(number(-30, 60)),
  reward: fc.option(number(-3, 3)),
});
const samples = fc.array(sample, { maxLength: 3 });
const prompt: fc.Arbitrary<PromptEvidence> = fc.record({
  heldOut: fc.boolean(),
  candidate: samples,
  live: samples,
  reference: samples,
});
const logged: fc.Arbitrary<LoggedEvidence> = fc.record({
  prompt: fc.integer({ min: 0, max: 20 }),
  reward: number(0, 1),
  candidate: number(-3, 3),
  live: number(-3, 3),
});
const evidence: fc.Arbitrary<Evidence> = fc.record({
  notFinite: fc.option(fc.constant('weight 0 of x.lora_A is NaN')),
  prompts: fc.array(prompt, { maxLength: 60 }),
  logged: fc.array(logged, { maxLength: 120 }),
  rater: fc.option(fc.constant('judge')),
});

const settings = checkGateSettings({ off_policy: { minEffective: 8 } });
const outcomes = (of: Evidence, used = settings) =>
  Object.fromEntries(judge(of, used).checks.map(({ check, outcome }) => [check, outcome]));

describe('the verdict', () => {
  it('lists every check once, in order, and passes if none fails', () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const { passed, checks } = judge(given, settings);
        expect(checks.map(({ check }) => check)).toEqual(checkNames);
        expect(passed).toBe(checks.every(({ outcome }) => outcome !== 'failed'));
        for (const { numbers } of checks) expect(Object.values(numbers).every(Number.isFinite)).toBe(true);
      }),
    );
  });

  it('does not depend on the order of the evidence', () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const turned = { ...given, prompts: given.prompts.toReversed(), logged: given.logged.toReversed() };
        expect(judge(turned, settings)).toEqual(judge(given, settings));
      }),
    );
  });

  it('never fails a candidate that writes exactly the same as the live version', () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const same: Evidence = {
          notFinite: null,
          rater: given.rater,
          prompts: given.prompts.map((one) => ({
            ...one,
            candidate: one.live.map((drawn) => ({ ...drawn, logRatio: drawn.logRatio === null ? null : 1 })),
          })),
          logged: given.logged.map((item) => ({ ...item, candidate: item.live })),
        };
        expect(judge(same, settings).passed).toBe(true);
      }),
    );
  });

  it('changes only in one check if that check is switched off', () => {
    fc.assert(
      fc.property(evidence, fc.constantFrom<CheckName>(...checkNames), (given, check) => {
        const blind = { ...settings, [check]: { ...settings[check], enabled: false } };
        expect(outcomes(given, blind)).toEqual({ ...outcomes(given), [check]: 'skipped' });
      }),
    );
  });

  it('skips a check that has too little evidence', () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const few = { ...given, notFinite: null, prompts: given.prompts.slice(0, 7), logged: given.logged.slice(0, 7) };
        const { finite, ...others } = outcomes(few);
        expect(finite).toBe('passed');
        expect(new Set(Object.values(others))).toEqual(new Set(['skipped']));
      }),
    );
  });
});

describe('a check of the gate', () => {
  it('of KL that fails also fails at a larger distance', () => {
    fc.assert(
      fc.property(evidence, number(0, 50), (given, further) => {
        const away = (sampled: SampleFigures) => ({
          ...sampled,
          logRatio: sampled.logRatio === null ? null : sampled.logRatio + further,
        });
        const moved = given.prompts.map((one) => ({ ...one, candidate: one.candidate.map(away) }));
        const before = outcomes(given).kl;
        if (before === 'failed') expect(outcomes({ ...given, prompts: moved }).kl).toBe('failed');
      }),
    );
  });

  it("by a reward model does not depend on the model's units if no loss is accepted", () => {
    fc.assert(
      fc.property(evidence, fc.integer({ min: -8, max: 8 }), (given, exponent) => {
        const scaled = (sampled: SampleFigures) => ({
          ...sampled,
          reward: sampled.reward === null ? null : sampled.reward * 2 ** exponent,
        });
        const prompts = given.prompts.map((one) => ({
          ...one,
          candidate: one.candidate.map(scaled),
          live: one.live.map(scaled),
        }));
        expect(outcomes({ ...given, prompts }).reward_model).toBe(outcomes(given).reward_model);
      }),
    );
  });

  it('by importance does not depend on a constant that all log-probabilities share', () => {
    fc.assert(
      fc.property(evidence, fc.integer({ min: -200, max: 200 }), (given, constant) => {
        const moved = given.logged.map((item) => ({ ...item, candidate: item.candidate + constant }));
        const [before, after] = [given, { ...given, logged: moved }].map(
          (of) => judge(of, settings).checks.find(({ check }) => check === 'off_policy')?.numbers ?? {},
        );
        for (const [name, value] of Object.entries(before ?? {})) expect(after?.[name]).toBeCloseTo(value, 6);
      }),
    );
  });
});

describe('chance in the verdict', () => {
  it('fails fewer than 1 in 100 candidates that are as good as the live version', () => {
    const runs = 1000;
    let refused = 0;
    for (let seed = 1; seed <= runs; seed++) {
      if (!judge(healthyEvidence(seed), checkGateSettings()).passed) refused += 1;
    }
    // At three standard errors each of the two tests without a margin fails about 0.2 %.
    expect(refused / runs).toBeLessThan(0.01);
  });

  it('passes fewer than 1 in 100 candidates that lose a standard deviation of reward', () => {
    const runs = 300;
    let passed = 0;
    for (let seed = 1; seed <= runs; seed++) {
      const normal = createNormal(seed);
      const given = healthyEvidence(seed);
      const worse = given.prompts.map((one) => ({
        ...one,
        candidate: one.candidate.map((drawn) => ({ ...drawn, reward: 0.3 + 0.2 * normal() })),
      }));
      if (judge({ ...given, prompts: worse }, checkGateSettings()).passed) passed += 1;
    }
    expect(passed / runs).toBeLessThan(0.01);
  });
});
