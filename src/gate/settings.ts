/** The gate's settings: defaults, ranges, and what may not be combined. `docs/gate.md` argues each default. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';

const enabled = z.boolean().default(true);
const count = z.int().min(1).max(100_000);
const share = z.number().min(0).max(1);
/** A factor above 1: by how much something may grow, and shrink to one part of. */
const factor = z.number().min(1).max(1e6);

const schema = z.strictObject({
  /** Prompts to draw completions for, at most. */
  prompts: count.default(48),
  /** Completions per prompt and version. */
  samplesPerPrompt: z.int().min(1).max(64).default(2),
  /** Tokens at which the gate's own completions are cut. */
  maxTokens: count.default(128),
  /** Requests of the gate that run at once. */
  concurrency: z.int().min(1).max(256).default(4),
  /** Differences within so many standard errors are chance. */
  standardErrors: z.number().min(0).max(100).default(3),
  finite: z.strictObject({ enabled }).prefault({}),
  kl: z
    .strictObject({
      enabled,
      minPrompts: count.default(8),
      /** Mean KL to the reference, nats per completion. */
      maxNats: z.number().positive().default(10),
    })
    .prefault({}),
  health: z
    .strictObject({
      enabled,
      minPrompts: count.default(8),
      /** Mean length against the live version's, and its inverse. */
      maxLengthFactor: factor.default(1.3),
      /** Share of repeated n-grams above the live version's. */
      maxRepeatedRise: share.default(0.05),
      /** Share of completions without an end above the live version's. */
      maxUnendedRise: share.default(0.05),
      /** Share of empty completions above the live version's. */
      maxEmptyRise: share.default(0.05),
      /** Share of completions that answer another prompt too, above the live version's. */
      maxSameRise: share.default(0.1),
      /** How many times as far from the reference as from the live version. */
      referenceSlack: factor.default(1.5),
      /** Tokens of the n-grams whose repetition is counted. */
      ngram: z.int().min(1).max(64).default(4),
    })
    .prefault({}),
  reward_model: z
    .strictObject({
      enabled,
      minPrompts: count.default(16),
      /** Loss of mean reward that is let pass, in the model's units. */
      maxLoss: z.number().min(0).default(0),
    })
    .prefault({}),
  off_policy: z
    .strictObject({
      enabled,
      /** Logged completions to look at, at most. */
      completions: count.default(128),
      /** Effective sample size from which on the estimate decides. */
      minEffective: z.number().min(2).default(32),
      /** Loss of estimated reward that is let pass; rewards go from 0 to 1. */
      maxLoss: z.number().min(0).default(0.02),
    })
    .prefault({}),
});

/** Complete, checked settings. */
export type GateSettings = z.output<typeof schema>;

/** Settings as a user gives them: what is absent takes its default. */
export type GateSettingsInput = z.input<typeof schema>;

/**
 * Completes settings.
 * @throws HoneError `INVALID_OPTIONS` with a violation per setting at fault
 */
export function checkGateSettings(input: unknown = {}): GateSettings {
  return checkSettings('gate', schema, input);
}
