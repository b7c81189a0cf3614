export { createAgent } from './agent.js';
export type { AgentOptions } from './agent-options.js';
export type { CanaryStanding } from './canary.js';
export { type CanarySettings, type CanarySettingsInput, checkCanarySettings } from './canary-settings.js';
export { type ErasureResult, publishErasure } from './erasure.js';
export { openEventJournal } from './event-journal.js';
export { type EventJournal, EventLog, type EventLogOptions } from './event-log.js';
export type { ExplainedPreference, Explanation, Obstacle } from './explain.js';
export {
  checkExploration,
  type ExplorationReport,
  type ExplorationSettings,
} from './exploration.js';
export { maxItemsPerBatch } from './feedback-checks.js';
export { type Judge, type JudgedCandidate, judgeFinite } from './judge.js';
export type { CandidateEnd, ExplorationOutcome, Meter, RequestEnd, Unseen } from './meter.js';
export { type Mode, type ModeKeeper, modes, openModeFile } from './modes.js';
export type { RaterOptions, RaterStanding } from './rater.js';
export { checkGenerate, maxCandidates } from './requests.js';
export type { RolloutStanding } from './rollout.js';
export { type ExportedLines, type ImportResult, ReplayImport } from './transfer.js';
export { trialFile } from './trial-file.js';
export type { TrialStanding } from './trials.js';
export type {
  Agent,
  AgentEvent,
  AgentStatus,
  CandidateEndedEvent,
  ChunkEvent,
  EndedEvent,
  FeedbackInput,
  FeedbackKind,
  FeedbackResult,
  GenerateInput,
  Learner,
  LearnerReport,
  LoopEvent,
  LoopEventType,
  SamplingInput,
  ServedIdentity,
  StartedEvent,
  StoredGeneration,
  VersionPage,
  WatchOptions,
} from './types.js';
