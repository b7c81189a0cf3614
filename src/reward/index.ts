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
export { type FoldablePreference, foldPreferences } from './preferences.js';
export {
  checkRewardSettings,
  defaultRewardSettings,
  type MetricSettings,
  metricOf,
  type RaterSettings,
  type RewardSettings,
  trustOf,
  weightOf,
} from './settings.js';
export type { RewardedCompletion, RewardModel } from './types.js';
