/** Settings of trials, with their ranges and defaults. `docs/rollout.md` gives the reason for each default. */

import { z } from 'zod';
import { checkSettings } from '../../check-settings.js';

const day = 86_400_000;

const schema = z.strictObject({
  /** Share of requests that a canary serves and that a shadow answers, above 0 and below 1. */
  share: z.number().gt(0).lt(1).default(0.1),
  /**
   * Bound of the probability of each error: to roll back a candidate that is not worse, to promote one that is worse
   * by the margin.
   */
  alpha: z.number().gt(0).max(0.5).default(0.05),
  /** By how much a candidate's mean reward may be below the live version's; rewards go from 0 to 1. */
  margin: z.number().gt(0).lt(1).default(0.05),
  /** Fewest rewards of the candidate before it is promoted. */
  minimum: z.int().min(1).default(50),
  /** A canary that is still undecided after this time, in milliseconds, is rolled back. */
  maxDurationMs: z
    .int()
    .min(1)
    .max(365 * day)
    .default(7 * day),
});

export type CanarySettings = z.output<typeof schema>;

/** Settings as a user gives them. An absent one takes its default. */
export type CanarySettingsInput = z.input<typeof schema>;

/**
 * Complete, checked settings.
 * @throws HoneError `INVALID_OPTIONS` with a violation per setting at fault
 */
export function checkCanarySettings(input: unknown = {}): CanarySettings {
  return checkSettings('canary', schema, input);
}
