export { openReplayReader } from './reader.js';
export { openReplayStore, type ReplayStoreOptions } from './store.js';
export type {
  Generation,
  GenerationAdmission,
  GenerationCompletion,
  GenerationState,
  ReplayChange,
  ReplayReader,
  ReplayStats,
  ReplayStore,
  Score,
  ScoreKey,
  ScoreOutcome,
  ScoreWrite,
} from './types.js';
