export { type AgentOptions, createAgent } from './agent.js';
export { openEventJournal } from './event-journal.js';
export { type EventJournal, EventLog, type EventLogOptions } from './event-log.js';
export type { ExplainedPreference, Explanation, Obstacle } from './explain.js';
export { maxItemsPerBatch } from './feedback-checks.js';
export { judgeCandidate, type Verdict } from './judge.js';
export type { CandidateEnd, Meter, RequestEnd } from './meter.js';
export { checkGenerate, groupKey, maxCandidates } from './requests.js';
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
