/** Settings of trials: defaults, ranges. `docs/rollout.md` argues each default. */

import { z } from 'zod';
import { checkSettings } from '../../check-settings.js';

const day = 86_400_000;

const schema = z.strictObject({
  /** Share of requests that a canary serves and that a shadow answers, above 0 and below 1. */
  share: z.number().gt(0).lt(1).default(0.1),
  /** Bound of each of the two errors: rolling back what is not worse, promoting what is worse by the margin. */
  alpha: z.number().gt(0).max(0.5).default(0.05),
  /** By how much a candidate's mean reward may be below the live version's; rewards go from 0 to 1. */
  margin: z.number().gt(0).lt(1).default(0.05),
  /** Fewest rewards of the candidate before it is promoted. */
  minimum: z.int().min(1).default(50),
  /** A canary that is undecided for so long, milliseconds, is rolled back. */
  maxDurationMs: z
    .int()
    .min(1)
    .max(365 * day)
    .default(7 * day),
});

export type CanarySettings = z.output<typeof schema>;

/** Settings as a user gives them: what is absent takes its default. */
export type CanarySettingsInput = z.input<typeof schema>;

/**
 * Complete, checked settings.
 * @throws HoneError `INVALID_OPTIONS` with a violation per setting at fault
 */
export function checkCanarySettings(input: unknown = {}): CanarySettings {
  return checkSettings('canary', schema, input);
}
