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
export {
  checkRewardSettings,
  defaultRewardSettings,
  type MetricSettings,
  metricSettings,
  type RaterSettings,
  type RewardSettings,
  trustIn,
} from './settings.js';
export type { RewardedCompletion, RewardModel } from './types.js';
