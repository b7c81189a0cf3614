/** The error type of the client, decoded from the status of a failed call. */

import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { decodeMessage } from '../proto/contract.js';
import type { BadRequest__Output } from '../proto/generated/google/rpc/BadRequest.js';
import type { ErrorInfo__Output } from '../proto/generated/google/rpc/ErrorInfo.js';
import type { RetryInfo__Output } from '../proto/generated/google/rpc/RetryInfo.js';
import type { Status__Output } from '../proto/generated/google/rpc/Status.js';
import { errorCodes } from './error-codes.js';

/** The name of a gRPC status code. */
export type GrpcStatus = keyof typeof status;

type ErrorCode = (typeof errorCodes)[number];

const knownCodes: ReadonlySet<string> = new Set(errorCodes);

/**
 * The code of an error: one of Hone's, which `docs/errors.md` explains, or the name of the gRPC status if the server sent
 * none, or one that this release of the client does not know.
 */
export type HoneErrorCode = ErrorCode | GrpcStatus;

/** A field at fault in a refused request: a path such as `messages[1].role`, and the reason. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** The parts of a {@link HoneClientError}. */
interface HoneClientErrorInit {
  readonly code: HoneErrorCode;
  readonly status: GrpcStatus;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A failed call, or a refused item of feedback. */
export class HoneClientError extends Error {
  override readonly name = 'HoneClientError';
  readonly code: HoneErrorCode;
  /** The gRPC status. */
  readonly status: GrpcStatus;
  /** The fields at fault; empty if there are none. */
  readonly violations: readonly FieldViolation[];
  /** Milliseconds after which a retry makes sense, if the server sent them. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, init: HoneClientErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.status = init.status;
    this.violations = init.violations ?? [];
    this.retryAfterMs = init.retryAfterMs;
  }

  /** A plain object for logs and `--json`. */
  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      status: this.status,
      message: this.message,
      ...(this.violations.length === 0 ? {} : { violations: this.violations }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  /** The error itself, or a new one made from the error of a call. */
  static from(thrown: unknown): HoneClientError {
    if (thrown instanceof HoneClientError) return thrown;
    if (isServiceError(thrown)) {
      const details = thrown.metadata === undefined ? undefined : readDetails(thrown.metadata);
      return create(thrown.code, details?.message || describe(thrown), details, thrown);
    }
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new HoneClientError(message, { code: 'UNKNOWN', status: 'UNKNOWN', cause: thrown });
  }

  /** The error for a `google.rpc.Status` inside a message. */
  static fromStatus(value: Status__Output): HoneClientError {
    return create(value.code, value.message, value, undefined);
  }
}

function create(code: number, message: string, details: Status__Output | undefined, cause: unknown): HoneClientError {
  const grpcStatus = (status[code] ?? 'UNKNOWN') as GrpcStatus;
  const read = <T>(name: string): T | undefined => {
    const found = details?.details.find((any) => 'type_url' in any && any.type_url.endsWith(`/google.rpc.${name}`));
    return found === undefined ? undefined : decodeMessage<T>(`google.rpc.${name}`, (found as { value: Buffer }).value);
  };
  const delay = read<RetryInfo__Output>('RetryInfo')?.retryDelay;
  return new HoneClientError(message, {
    code: knownCode(read<ErrorInfo__Output>('ErrorInfo')?.reason) ?? grpcStatus,
    status: grpcStatus,
    violations: (read<BadRequest__Output>('BadRequest')?.fieldViolations ?? []).map(({ field, description }) => ({
      field,
      description,
    })),
    retryAfterMs: delay ? delay.seconds * 1000 + Math.ceil(delay.nanos / 1e6) : undefined,
    cause,
  });
}

function knownCode(reason = ''): ErrorCode | undefined {
  return knownCodes.has(reason) ? (reason as ErrorCode) : undefined;
}

function readDetails(metadata: Metadata): Status__Output | undefined {
  const [bytes] = metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    return decodeMessage<Status__Output>('google.rpc.Status', bytes);
  } catch {
    // The status stays useful even if its details cannot be decoded.
    return undefined;
  }
}

/** The message of an error that did not come from a Hone server. The gRPC library's own message stays in the cause. */
function describe({ code, details, message }: ServiceError): string {
  if (code === status.DEADLINE_EXCEEDED) return 'the answer did not come in time: the deadline has passed';
  return details || message;
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && typeof (thrown as Partial<ServiceError>).code === 'number';
}
