export { type AgentOptions, createAgent } from './agent.js';
export { openEventJournal } from './event-journal.js';
export { type EventJournal, EventLog, type EventLogOptions } from './event-log.js';
export { judgeCandidate, type Verdict } from './judge.js';
export type { CandidateEnd, Meter, RequestEnd } from './meter.js';
export { checkGenerate, maxCandidates } from './requests.js';
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
