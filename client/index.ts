/** Hone's client library: `import { connect } from 'hone-agent/client'`. */

export { HoneClient } from './client.js';
export { connect, defaultAddress } from './connect.js';
export { type FieldViolation, type GrpcStatus, HoneClientError, type HoneErrorCode } from './errors.js';
export { FeedbackStream } from './feedback-stream.js';
export type { Health } from './health.js';
export { edit, prefer } from './items.js';
export type * from './types/index.js';
