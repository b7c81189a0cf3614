export { type ChooseThreadsOptions, chooseThreads, type ThreadChoice } from './choose-threads.js';
export type { ThreadMeasurement, ThreadSetting, ThreadWishes } from './measurement.js';
