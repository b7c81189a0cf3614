/** The gate's settings with their defaults and ranges. `docs/gate.md` gives the reason for each default. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';

const enabled = z.boolean().default(true);
const count = z.int().min(1).max(100_000);
const share = z.number().min(0).max(1);
/** A factor of at least 1 by which a quantity may grow, or shrink. */
const factor = z.number().min(1).max(1e6);

const schema = z.strictObject({
  /** Largest number of prompts for which completions are drawn. */
  prompts: count.default(48),
  /** Completions per prompt and version. */
  samplesPerPrompt: z.int().min(1).max(64).default(2),
  /** Length at which the gate cuts its own completions, tokens. */
  maxTokens: count.default(128),
  /** Number of the gate's requests that run at once. */
  concurrency: z.int().min(1).max(256).default(4),
  /** A difference within this many standard errors counts as chance. */
  standardErrors: z.number().min(0).max(100).default(3),
  finite: z.strictObject({ enabled }).prefault({}),
  kl: z
    .strictObject({
      enabled,
      minPrompts: count.default(8),
      /** Largest mean KL to the reference, nats per completion. */
      maxNats: z.number().positive().default(10),
    })
    .prefault({}),
  health: z
    .strictObject({
      enabled,
      minPrompts: count.default(8),
      /** Largest ratio of mean lengths, candidate to live version; its inverse is the smallest. */
      maxLengthFactor: factor.default(1.3),
      /** Largest rise of the share of repeated n-grams above the live version's. */
      maxRepeatedRise: share.default(0.05),
      /** Largest rise of the share of completions without an end above the live version's. */
      maxUnendedRise: share.default(0.05),
      /** Largest rise of the share of empty completions above the live version's. */
      maxEmptyRise: share.default(0.05),
      /** Largest rise of the share of completions that also answer another prompt above the live version's. */
      maxSameRise: share.default(0.1),
      /** Factor by which the bounds are wider against the reference than against the live version. */
      referenceSlack: factor.default(1.5),
      /** Length of the n-grams whose repetition is counted, tokens. */
      ngram: z.int().min(1).max(64).default(4),
    })
    .prefault({}),
  reward_model: z
    .strictObject({
      enabled,
      minPrompts: count.default(16),
      /** Largest accepted loss of mean reward, in the units of the model. */
      maxLoss: z.number().min(0).default(0),
    })
    .prefault({}),
  off_policy: z
    .strictObject({
      enabled,
      /** Largest number of logged completions to use. */
      completions: count.default(128),
      /** Smallest effective sample size for a decision. */
      minEffective: z.number().min(2).default(32),
      /** Largest accepted loss of estimated reward; rewards go from 0 to 1. */
      maxLoss: z.number().min(0).default(0.02),
    })
    .prefault({}),
});

/** Complete, checked settings. */
export type GateSettings = z.output<typeof schema>;

/** Settings as a user gives them; absent ones take their defaults. */
export type GateSettingsInput = z.input<typeof schema>;

/**
 * Checks settings and fills in the defaults.
 * @throws HoneError `INVALID_OPTIONS` with a violation for each setting at fault
 */
export function checkGateSettings(input: unknown = {}): GateSettings {
  return checkSettings('gate', schema, input);
}
