export { defaultRewardSettings, type FoldableScore, foldReward, type RewardSettings } from './fold.js';
export type { RewardedCompletion, RewardModel } from './types.js';
