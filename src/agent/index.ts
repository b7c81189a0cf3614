export type { LearnerStatus } from '../learner/index.js';
export { createAgent } from './agent.js';
export type { AgentOptions } from './agent-options.js';
export type { ErasureResult } from './erasure.js';
export { openEventJournal } from './events/event-journal.js';
export { type EventJournal, EventLog, type EventLogOptions } from './events/event-log.js';
export type { LoopEvent, LoopEventType, WatchOptions } from './events/types.js';
export type { ExplainedPreference, Explanation, Obstacle } from './explain.js';
export type { RaterOptions, RaterStatus } from './feedback/background-rater.js';
export { maxItemsPerBatch } from './feedback/check-feedback.js';
export type { FeedbackInput, FeedbackKind, FeedbackResult } from './feedback/types.js';
export { checkGenerate, encodeRequest, maxCompletions } from './generation/check-request.js';
export {
  checkExploration,
  type ExplorationSettings,
  type ExplorationStatus,
} from './generation/exploration.js';
export type {
  AgentEvent,
  ChunkEvent,
  CompletionEndedEvent,
  EndedEvent,
  GenerateInput,
  SamplingInput,
  StartedEvent,
} from './generation/types.js';
export type { Agent, AgentStatus, StoredGeneration, VersionPage } from './interface.js';
export type { Learner } from './learner.js';
export type { BackgroundDraw, CompletionEnd, ExplorationOutcome, Meter, RequestEnd } from './meter.js';
export type { CanaryStatus } from './rollout/canary.js';
export { type CanarySettings, type CanarySettingsInput, checkCanarySettings } from './rollout/canary-settings.js';
export { type Judge, type JudgedCandidate, judgeFinite } from './rollout/judge.js';
export type { ServedIdentity } from './rollout/live-version.js';
export { type Mode, type ModeKeeper, modes, openModeFile } from './rollout/modes.js';
export type { RolloutStatus } from './rollout/rollout.js';
export { type TrialStore, trialFile } from './rollout/trial-file.js';
export type { TrialStatus } from './rollout/trials.js';
export { type ExportedLines, type ImportResult, ReplayImport } from './transfer.js';
