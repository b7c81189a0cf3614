/** The learner's settings: defaults and ranges. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';
import { devices, engines } from './engine/names.js';
import type { LearnerSettings } from './types.js';

const count = z.int().min(1);
const share = z.number().min(0).max(1);

const schema = z.strictObject({
  rank: count.max(256).default(8),
  scale: z.number().positive().default(2),
  learningRate: z.number().positive().max(1).default(1e-3),
  adamBeta1: z.number().min(0).lt(1).default(0.9),
  adamBeta2: z.number().min(0).lt(1).default(0.99),
  warmupSteps: z.int().min(0).default(8),
  learningRateSchedule: z.enum(['constant', 'cosine', 'linear']).default('constant'),
  decaySteps: count.default(1000),
  clipNorm: z.number().positive().default(1),
  beta: z.number().positive().default(0.1),
  betaInitial: z.number().positive().optional(),
  betaSteps: z.int().min(0).default(0),
  logProbability: z.enum(['sum', 'mean']).default('sum'),
  referenceEvery: z.int().min(0).default(0),
  baseline: z.enum(['prompt', 'mean', 'none']).default('prompt'),
  groupsPerStep: count.default(8),
  groupSize: count.default(8),
  replayRatio: count.default(6),
  newestShare: share.default(0.5),
  maxStaleness: z.int().min(0).default(60),
  scoresPerRound: count.default(16),
  holdoutShare: z.number().min(0).lt(1).default(0.05),
  guardMaxKl: z.number().positive().default(10),
  guardMaxMove: z.number().positive().default(3),
  guardMaxPushDown: z.number().positive().default(1),
  guardMaxDropped: count.default(5),
  guardMaxSetbacks: count.default(3),
  threads: count.default(1),
  engine: z.enum(engines).default('onnx'),
  device: z.enum(devices).default('cpu'),
  memoryBytes: count.nullable().default(null),
  seed: z.int().min(0).max(0xffffffff).default(1),
});

/** Settings as a user gives them: what is absent takes its default. */
export type LearnerSettingsInput = Partial<{
  -readonly [Name in keyof LearnerSettings]: LearnerSettings[Name] | undefined;
}>;

/**
 * Complete, checked settings.
 * @throws HoneError `INVALID_OPTIONS` with a violation per setting at fault
 */
export function checkLearnerSettings(input: LearnerSettingsInput = {}): LearnerSettings {
  const settings = checkSettings('learner', schema, input);
  return { ...settings, betaInitial: settings.betaInitial ?? settings.beta };
}
