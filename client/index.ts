/** Hone's client library: `import { connect } from 'hone/client'`. */

export type { CallOptions } from './calls.js';
export { HoneClient } from './client.js';
export { type ConnectOptions, connect, defaultAddress, type TlsOptions } from './connect.js';
export { type GrpcStatus, HoneClientError } from './errors.js';
export { FeedbackStream, type FeedbackStreamOptions } from './feedback-stream.js';
export type { Health } from './health.js';
export type { RetryOptions } from './retry.js';
export type {
  AdapterFiles,
  Candidate,
  ChatMessage,
  FeedbackItem,
  FeedbackOutcome,
  FieldViolation,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  GenerateResult,
  Generation,
  HoneEvent,
  HoneEventType,
  Identity,
  LearnerStatus,
  Score,
  ServerStatus,
  TokenDetails,
  TopLogprobs,
  Usage,
  Version,
  WatchOptions,
} from './types.js';
