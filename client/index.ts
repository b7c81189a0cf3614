/** Hone's client library: `import { connect } from 'hone/client'`. */

export type { CallOptions } from './calls.js';
export { HoneClient } from './client.js';
export { type ConnectOptions, connect, defaultAddress, type TlsOptions } from './connect.js';
export { type GrpcStatus, HoneClientError } from './errors.js';
export { FeedbackStream, type FeedbackStreamOptions } from './feedback-stream.js';
export type {
  EditItem,
  ExplainedMetric,
  ExplainedPreference,
  ExplainedScore,
  Explanation,
  FeedbackBy,
  FeedbackItem,
  FeedbackOutcome,
  PreferenceItem,
  ScoreItem,
  TrainingObstacle,
} from './feedback-types.js';
export type { Health } from './health.js';
export { edit, prefer } from './items.js';
export type { RetryOptions } from './retry.js';
export type {
  AdapterFiles,
  CanaryArm,
  CanaryStatus,
  Candidate,
  ChatMessage,
  CheckResult,
  ErasureResult,
  ExportFilter,
  ExportPiece,
  FieldViolation,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  GenerateResult,
  Generation,
  GenerationOrigin,
  HoneEvent,
  HoneEventType,
  Identity,
  ImportResult,
  LearnerStatus,
  MetricSettings,
  Mode,
  RaterStatus,
  RewardSettings,
  RolloutStatus,
  Score,
  ServerStatus,
  TokenDetails,
  TopLogprobs,
  Usage,
  Version,
  WatchOptions,
} from './types.js';
