/** The rule that decides which generations may train. The learner follows it, and the server explains it. */

import { type Generation, isHeldOut } from '../../replay/index.js';
import { type DecoderLimits, misfitOf } from './misfit.js';

/** Why a generation may not train, whatever its scores are. */
export type TrainingObstacle =
  | 'running'
  | 'cancelled'
  | 'aborted'
  /** Its prompt or its completion holds no token. */
  | 'empty'
  /** Its tokens are those of another package. */
  | 'other_package'
  /** The package's decoder cannot hold it: see `misfit.ts`. */
  | 'unfit'
  /** The version that wrote it is too old. */
  | 'stale'
  /** Its prompt is kept for comparing versions. */
  | 'held_out';

export interface TrainingRules {
  /** Digest of the package that is trained. */
  readonly packageDigest: string;
  /** What that package's decoder can hold. */
  readonly decoder: DecoderLimits;
  /** In versions. */
  readonly maxStaleness: number;
  /** Share of prompts that never train. */
  readonly holdoutShare: number;
}

/** Every obstacle; empty if the generation may train. */
export function trainingObstacles(
  generation: Generation,
  rules: TrainingRules,
  liveVersion: number,
): TrainingObstacle[] {
  const { state, packageDigest, promptTokens, tokens, version, groupKey } = generation;
  const obstacles: TrainingObstacle[] = [];
  if (state !== 'finished') obstacles.push(state);
  else if (promptTokens.length === 0 || tokens.length === 0) obstacles.push('empty');
  if (packageDigest !== rules.packageDigest) obstacles.push('other_package');
  else if (misfitOf(generation, rules.decoder) !== null) obstacles.push('unfit');
  if (isStale(version, liveVersion, rules)) obstacles.push('stale');
  if (isHeldOut(groupKey, rules.holdoutShare)) obstacles.push('held_out');
  return obstacles;
}

/** Whether a completion of this version is too old to train. */
export function isStale(version: number, liveVersion: number, { maxStaleness }: TrainingRules): boolean {
  return liveVersion - version > maxStaleness;
}
