export { type RewardProcessOptions, startRewardProcess } from './supervised.js';
