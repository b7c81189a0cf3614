/** How to reach a server, and how to make calls. */

/** TLS: `true` trusts the system's authorities; PEM buffers give an authority and a client certificate with its key. */
export type TlsOptions =
  | boolean
  | { readonly rootCertificates?: Buffer; readonly certificateChain?: Buffer; readonly privateKey?: Buffer };

/** How to reach a server. */
export interface ConnectOptions {
  /** `host:port`. Default `127.0.0.1:50051`. */
  readonly address?: string;
  /**
   * Sent as `authorization: Bearer <token>`. Without TLS it travels in clear, as do all texts. Up to 8192 printable ASCII
   * characters without blanks.
   */
  readonly token?: string;
  /** Default: no TLS. */
  readonly tls?: TlsOptions;
  /** Milliseconds to wait for the connection. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** Deadline of unary calls in milliseconds. Default 60000. */
  readonly timeoutMs?: number;
  /**
   * Milliseconds after which a connection whose peer has gone silent counts as dead, also while no call runs: after two
   * thirds of it the client sends a ping, and the rest is the time for the answer. Calls on a dead connection fail with
   * `UNAVAILABLE`, or are retried. Default 30000, at least 300.
   */
  readonly keepaliveMs?: number;
  readonly retry?: RetryOptions;
}

/** Options of every method of the client. */
export interface CallOptions {
  /** Milliseconds after which the call, with its retries, ends with DEADLINE_EXCEEDED. Default: the client's. */
  readonly timeoutMs?: number;
  /** Cancels the call when it aborts. The server stops its work at once. */
  readonly signal?: AbortSignal;
  /**
   * Sent as `x-request-id`. The server's log contains it. Up to 256 printable ASCII characters, with blanks only between
   * others. Default: a random UUID.
   */
  readonly requestId?: string;
  /** Default: the client's. */
  readonly retry?: RetryOptions;
}

/** Settings of retries. */
export interface RetryOptions {
  /**
   * Number of attempts, including the first; 1 turns retries off. Default: 4 if the server refuses because it is full,
   * and as many as `maxElapsedMs` allows if it is gone.
   */
  readonly maxAttempts?: number;
  /** Upper bound of the first wait; it doubles with each further wait. Default 100. */
  readonly baseDelayMs?: number;
  /** Upper bound of every wait. If the server's `retryAfterMs` is longer, the call is not retried. Default 5000. */
  readonly maxDelayMs?: number;
  /**
   * How long failures in a row are retried, and how long a call waits for a connection before it is sent. Default 60000,
   * which outlives the restart of a server under `hone serve`; `Infinity` never gives up.
   */
  readonly maxElapsedMs?: number;
}

/** Settings of a stream for feedback. */
export interface FeedbackStreamOptions {
  /** Most unacknowledged items before `ready()` waits. Default 1000. */
  readonly maxUnanswered?: number;
  /** Most items in one message; with fewer, each item costs more. Default 1000, which is the server's limit. */
  readonly maxItemsPerMessage?: number;
}
