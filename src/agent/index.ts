export { type AgentOptions, createAgent } from './agent.js';
export { openEventJournal } from './event-journal.js';
export { type EventJournal, EventLog, type EventLogOptions } from './event-log.js';
export {
  checkExploration,
  type ExplorationReport,
  type ExplorationSettings,
} from './exploration.js';
export { judgeCandidate, type Verdict } from './judge.js';
export type { CandidateEnd, ExplorationOutcome, Meter, RequestEnd, Unseen } from './meter.js';
export { checkGenerate, groupKey, maxCandidates } from './requests.js';
export { maxScoresPerBatch } from './scores.js';
export type {
  Agent,
  AgentEvent,
  AgentStatus,
  CandidateEndedEvent,
  ChunkEvent,
  EndedEvent,
  GenerateInput,
  Learner,
  LearnerReport,
  LoopEvent,
  LoopEventType,
  SamplingInput,
  ScoreInput,
  ScoreResult,
  ServedIdentity,
  StartedEvent,
  StoredGeneration,
  VersionPage,
  WatchOptions,
} from './types.js';
