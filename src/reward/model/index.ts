export { type OnnxRewardModel, openRewardModel, type RewardModelOptions } from './reward-model.js';
