/** The rule that decides which generations may train. The learner follows it, and the server explains it. */

import { type Generation, isHeldOut } from '../../replay/index.js';

/** Why a generation may not train, whatever its scores are. */
export type TrainingObstacle =
  | 'running'
  | 'cancelled'
  | 'aborted'
  /** Its prompt or its completion holds no token. */
  | 'empty'
  /** Its tokens are those of another package. */
  | 'other_package'
  /** The version that wrote it is too old. */
  | 'stale'
  /** Its prompt is kept for comparing versions. */
  | 'held_out';

export interface TrainingRules {
  /** Digest of the package that is trained. */
  readonly packageDigest: string;
  /** In versions. */
  readonly maxStaleness: number;
  /** Share of prompts that never train. */
  readonly holdoutShare: number;
}

/** Every obstacle; empty if the generation may train. */
export function trainingObstacles(
  { state, packageDigest, promptTokens, tokens, version, groupKey }: Generation,
  rules: TrainingRules,
  liveVersion: number,
): TrainingObstacle[] {
  const obstacles: TrainingObstacle[] = [];
  if (state !== 'finished') obstacles.push(state);
  else if (promptTokens.length === 0 || tokens.length === 0) obstacles.push('empty');
  if (packageDigest !== rules.packageDigest) obstacles.push('other_package');
  if (isStale(version, liveVersion, rules)) obstacles.push('stale');
  if (isHeldOut(groupKey, rules.holdoutShare)) obstacles.push('held_out');
  return obstacles;
}

/** Whether a completion of this version is too old to train. */
export function isStale(version: number, liveVersion: number, { maxStaleness }: TrainingRules): boolean {
  return liveVersion - version > maxStaleness;
}
