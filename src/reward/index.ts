export {
  type Fold,
  type FoldableScore,
  type FoldContext,
  foldReward,
  type IgnoredBecause,
  type MetricFold,
} from './fold.js';
export { openRewardModel } from './model/index.js';
export { foldPreferences } from './preferences.js';
export { type RewardProcessOptions, startRewardProcess } from './process/index.js';
export { isInRange, type MetricRange, outsideRange, rangeOf } from './range.js';
export {
  checkRewardSettings,
  defaultRewardSettings,
  type MetricSettings,
  metricOfRater,
  type RewardSettings,
} from './settings.js';
export type { Rating, RewardedCompletion, RewardModel, RewardProcess, RewardStatus } from './types.js';
