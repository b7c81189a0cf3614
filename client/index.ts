/** Hone's client library: `import { connect } from 'hone-agent/client'`. */

export type { CallOptions } from './calls.js';
export { HoneClient } from './client.js';
export { type ConnectOptions, connect, defaultAddress, type TlsOptions } from './connect.js';
export { type FieldViolation, type GrpcStatus, HoneClientError } from './errors.js';
export { FeedbackStream, type FeedbackStreamOptions } from './feedback-stream.js';
export type { Health } from './health.js';
export { edit, prefer } from './items.js';
export type { RetryOptions } from './retry.js';
export type * from './types/index.js';
