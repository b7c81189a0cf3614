export {
  type Fold,
  type FoldableScore,
  type FoldContext,
  foldReward,
  type IgnoredBecause,
  type IgnoredScore,
  type MetricFold,
  type UsedScore,
} from './fold.js';
export { openRewardModel, type RewardModelOptions } from './model/index.js';
export { type FoldablePreference, foldPreferences } from './preferences.js';
export { type RewardProcessOptions, startRewardProcess } from './process/index.js';
export {
  checkRewardSettings,
  defaultRewardSettings,
  type MetricSettings,
  metricOf,
  metricOfRater,
  type RaterSettings,
  type RewardSettings,
  trustOf,
  weightOf,
} from './settings.js';
export type { RewardedCompletion, RewardModel, RewardProcess, RewardStatus } from './types.js';
