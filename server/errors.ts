/** Turns Hone's errors into gRPC statuses with `google.rpc` details. No other file maps a kind to a status. */

import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { encodeMessage } from '../proto/contract.js';
import { type ErrorKind, HoneError } from '../src/errors.js';

/** The gRPC status of a kind. It is never UNKNOWN. */
export function toCode(kind: ErrorKind): status {
  switch (kind) {
    case 'invalid_argument':
      return status.INVALID_ARGUMENT;
    case 'not_found':
      return status.NOT_FOUND;
    case 'already_exists':
      return status.ALREADY_EXISTS;
    case 'failed_precondition':
      return status.FAILED_PRECONDITION;
    case 'resource_exhausted':
      return status.RESOURCE_EXHAUSTED;
    case 'unavailable':
      return status.UNAVAILABLE;
    case 'cancelled':
      return status.CANCELLED;
    case 'deadline_exceeded':
      return status.DEADLINE_EXCEEDED;
    case 'unauthenticated':
      return status.UNAUTHENTICATED;
    case 'permission_denied':
      return status.PERMISSION_DENIED;
    case 'data_loss':
      return status.DATA_LOSS;
    case 'unimplemented':
      return status.UNIMPLEMENTED;
    case 'internal':
      return status.INTERNAL;
    default:
      return kind satisfies never;
  }
}

/** A `google.rpc.Status` as the contract's loader takes it. */
interface RpcStatus {
  readonly code: number;
  readonly message: string;
  readonly details: { type_url: string; value: Buffer }[];
}

/** Most fields at fault in one status, and the longest texts in it, in characters. */
const maxViolations = 10;
const maxMessage = 1000;
const maxField = 100;
const maxDescription = 200;

/**
 * Code, message and details: always ErrorInfo, BadRequest if fields are at fault, RetryInfo if a retry helps.
 *
 * A status travels in HTTP/2 trailers. Trailers that are too long are never sent and the call hangs, so texts are cut
 * to keep them below the 8 KiB that every client accepts.
 */
export function toRpcStatus(error: HoneError): RpcStatus {
  const details = [detail('google.rpc.ErrorInfo', { reason: error.code, domain: 'hone' })];
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.slice(0, maxViolations).map(({ field, description }) => ({
      field: cut(field, maxField),
      description: cut(description, maxDescription),
    }));
    details.push(detail('google.rpc.BadRequest', { fieldViolations }));
  }
  if (error.retryAfterMs !== undefined) {
    const seconds = Math.floor(error.retryAfterMs / 1000);
    const nanos = Math.round((error.retryAfterMs - seconds * 1000) * 1e6);
    details.push(detail('google.rpc.RetryInfo', { retryDelay: { seconds, nanos } }));
  }
  return { code: toCode(error.kind), message: cut(error.message, maxMessage), details };
}

/** The status of a failed call. Anything that is no HoneError becomes INTERNAL. */
export function toStatus(thrown: unknown): StatusObject {
  const rpcStatus = toRpcStatus(HoneError.from(thrown));
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encodeMessage('google.rpc.Status', rpcStatus));
  return { code: rpcStatus.code, details: rpcStatus.message, metadata };
}

/** Most texts have none, and the search for half a pair takes longer. */
const hasSurrogates = /[\ud800-\udfff]/;

/**
 * Shortens a text if needed and replaces half surrogate pairs: a status with one cannot be sent, and the call hangs.
 */
function cut(text: string, maxLength: number): string {
  const short = text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
  return hasSurrogates.test(short) ? short.replace(/\p{Surrogate}/gu, '\uFFFD') : short;
}

function detail(typeName: string, value: object): { type_url: string; value: Buffer } {
  return { type_url: `type.googleapis.com/${typeName}`, value: encodeMessage(typeName, value) };
}
