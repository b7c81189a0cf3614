export { defaultRewardSettings, type FoldableScore, foldReward, type RewardSettings } from './fold.js';
