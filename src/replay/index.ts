export type { ErasureReport } from './erasure.js';
export { groupKey } from './group-key.js';
export { isHeldOut } from './holdout.js';
export { openReplayReader } from './reader.js';
export type { EvictionReport, RetentionSettings } from './retention.js';
export { openReplayStore, type ReplayStoreOptions } from './store.js';
export type {
  EditWrite,
  FeedbackOutcome,
  FeedbackWrite,
  Generation,
  GenerationAdmission,
  GenerationCompletion,
  GenerationOrigin,
  GenerationState,
  Lesson,
  Preference,
  PreferenceOutcome,
  PreferenceWrite,
  ReplayChange,
  ReplayReader,
  ReplayStats,
  ReplayStore,
  Score,
  ScoreKey,
  ScoreWrite,
  StoredPrompt,
} from './types.js';
