import { expect, it } from 'vitest';
import { checkGateSettings } from '../../../src/gate/index.js';

it('every check of the gate is on by default', () => {
  const { finite, kl, health, reward_model, off_policy } = checkGateSettings();
  expect([finite, kl, health, reward_model, off_policy].map(({ enabled }) => enabled)).toEqual(Array(5).fill(true));
});

it('setting one value of a check leaves its others at their defaults', () => {
  const { kl } = checkGateSettings({ kl: { maxNats: 3 } });
  expect(kl).toEqual({ ...checkGateSettings().kl, maxNats: 3 });
});

it.each([
  [{ kl: { maxNats: 0 } }, 'gate.kl.maxNats'],
  [{ kl: { enabled: 'no' } }, 'gate.kl.enabled'],
  [{ health: { maxLengthFactor: 0.5 } }, 'gate.health.maxLengthFactor'],
  [{ health: { maxEmptyRise: 2 } }, 'gate.health.maxEmptyRise'],
  [{ off_policy: { minEffective: Number.NaN } }, 'gate.off_policy.minEffective'],
  [{ prompts: 0 }, 'gate.prompts'],
  [{ samplesPerPrompt: 0 }, 'gate.samplesPerPrompt'],
  [{ samplesPerPrompt: 65 }, 'gate.samplesPerPrompt'],
  [{ concurrency: 0 }, 'gate.concurrency'],
  [{ concurrency: 257 }, 'gate.concurrency'],
  [{ health: { ngram: 0 } }, 'gate.health.ngram'],
  [{ health: { ngram: 65 } }, 'gate.health.ngram'],
  [{ strictness: 11 }, 'gate'],
  [{ kl: { strictness: 11 } }, 'gate.kl'],
])('gate settings %j are refused with the path %s', (input, field) => {
  expect(() => checkGateSettings(input)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTIONS', violations: [expect.objectContaining({ field })] }),
  );
});

it.each([
  { samplesPerPrompt: 1, concurrency: 1, health: { ngram: 1 } },
  { samplesPerPrompt: 64, concurrency: 256, health: { ngram: 64 } },
])('gate settings at the ends of their ranges are accepted: %j', (input) => {
  expect(checkGateSettings(input)).toMatchObject(input);
});
