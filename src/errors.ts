/**
 * The one error type of Hone and the table of its codes.
 *
 * A code is stable: clients may branch on it, and gRPC carries it as the `reason` of `google.rpc.ErrorInfo`. The kind of
 * a code tells what a caller can do about it; each door maps the kinds to its own statuses. `docs/errors.md` explains
 * every code.
 */

/** Errors by what a caller can do about them. Every door maps each kind to one status of its transport. */
export type ErrorKind =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'resource_exhausted'
  | 'unavailable'
  | 'cancelled'
  | 'deadline_exceeded'
  | 'unauthenticated'
  | 'permission_denied'
  | 'data_loss'
  | 'unimplemented'
  | 'internal';

/** Every code and its kind. */
export const errorCodes = {
  INVALID_REQUEST: 'invalid_argument',
  PROMPT_TOO_LONG: 'invalid_argument',
  GENERATION_NOT_FOUND: 'not_found',
  VERSION_NOT_FOUND: 'not_found',
  EVENTS_NOT_FOUND: 'not_found',
  IDEMPOTENCY_CONFLICT: 'already_exists',
  RECORD_CONFLICT: 'already_exists',
  LEARNER_OFF: 'failed_precondition',
  VERSION_NOT_SERVABLE: 'failed_precondition',
  TOO_MANY_VERSIONS: 'failed_precondition',
  QUEUE_FULL: 'resource_exhausted',
  READER_STALLED: 'resource_exhausted',
  ANSWER_TOO_LARGE: 'resource_exhausted',
  STORE_FULL: 'resource_exhausted',
  STORE_BUSY: 'unavailable',
  DRAINING: 'unavailable',
  WORKER_CRASHED: 'unavailable',
  CANCELLED: 'cancelled',
  DEADLINE_EXCEEDED: 'deadline_exceeded',
  UNAUTHENTICATED: 'unauthenticated',
  PERMISSION_DENIED: 'permission_denied',
  STORE_CORRUPT: 'data_loss',
  STORE_LOCKED: 'failed_precondition',
  STORE_TOO_NEW: 'failed_precondition',
  DATA_DIRECTORY_LOCKED: 'failed_precondition',
  DATA_DIRECTORY_LOST: 'failed_precondition',
  STATE_LOST: 'data_loss',
  SYSTEM_LIMIT: 'resource_exhausted',
  INVALID_OPTIONS: 'invalid_argument',
  INSTALLATION_DAMAGED: 'failed_precondition',
  PACKAGE_INVALID: 'failed_precondition',
  PACKAGE_DIFFERS: 'failed_precondition',
  MODEL_INVALID: 'failed_precondition',
  OPERATOR_UNSUPPORTED: 'unimplemented',
  OPERATOR_NOT_DIFFERENTIABLE: 'unimplemented',
  MODEL_NOT_TRAINABLE: 'unimplemented',
  ENGINE_UNAVAILABLE: 'failed_precondition',
  DEVICE_UNAVAILABLE: 'failed_precondition',
  ADAPTER_INVALID: 'data_loss',
  ADAPTER_REFUSED: 'invalid_argument',
  ADAPTER_MISMATCH: 'failed_precondition',
  HUB_UNREACHABLE: 'unavailable',
  HUB_BUSY: 'unavailable',
  HUB_REFUSED: 'permission_denied',
  HUB_NOT_FOUND: 'not_found',
  DOWNLOAD_CORRUPT: 'data_loss',
  CACHE_FULL: 'resource_exhausted',
  INTERNAL: 'internal',
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCodes;

/** One field at fault: its path, such as `messages[1].role`, and the reason. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface HoneErrorOptions {
  readonly cause?: unknown;
  /** The fields at fault, for `INVALID_REQUEST` and `INVALID_OPTIONS`. */
  readonly violations?: readonly FieldViolation[];
  /** For `resource_exhausted` and `unavailable`: how long to wait before trying again, milliseconds. */
  readonly retryAfterMs?: number;
}

/** The error that Hone throws. Its message gives what was wrong, with which value, and what to do. */
export class HoneError extends Error {
  override readonly name = 'HoneError';
  readonly code: ErrorCode;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: HoneErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  get kind(): ErrorKind {
    return errorCodes[this.code];
  }

  /** A structured-clone value for another thread or process; {@link HoneError.fromJSON} makes it an error again. */
  toJSON(): SerializedError {
    return {
      code: this.code,
      message: this.message,
      violations: this.violations,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  static fromJSON(value: SerializedError): HoneError {
    return new HoneError(value.code, value.message, value);
  }

  /** Returns a HoneError as it is, and wraps anything else that was thrown in an `INTERNAL` one. */
  static from(thrown: unknown): HoneError {
    if (thrown instanceof HoneError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new HoneError('INTERNAL', message, { cause: thrown });
  }
}

export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs?: number;
}

/** Code and message of anything that was thrown, for events and logs. */
export function inWords(thrown: unknown): string {
  const { code, message } = HoneError.from(thrown);
  return `${code}: ${message}`;
}
