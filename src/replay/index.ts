export type { ErasureNote, ErasureReport } from './erasure.js';
export type { ExportFilter } from './exporter.js';
export { groupKey } from './group-key.js';
export { isHeldOut } from './holdout.js';
export type { ImportOutcome } from './importer.js';
export type { LogHeld } from './log-bound.js';
export type { ReplayReader } from './reader.js';
export { openReplayReader } from './reader.js';
export { formatRecord, type ReplayRecord } from './record.js';
export { parseRecord } from './record-reading.js';
export type { EvictionReport, RetentionSettings } from './retention.js';
export type { ReplayStore } from './store.js';
export { openReplayStore, type ReplayStoreOptions } from './store.js';
export type {
  EditWrite,
  FeedbackOutcome,
  FeedbackWrite,
  Generation,
  GenerationAdmission,
  GenerationCompletion,
  GenerationOrigin,
  Preference,
  PreferenceOutcome,
  PreferenceWrite,
  ReplayChange,
  ReplayStatus,
  Score,
  ScoreBounds,
  ScoreExtremes,
  ScoreWrite,
  StoredPrompt,
} from './types.js';
