/** What the server process and the command that starts it agree on besides flags: the first message, exit codes. */

/** Sent over the channel to the parent process once calls are taken. */
export interface ServerReady {
  readonly type: 'ready';
  /** `host:port`. */
  readonly address: string;
  /** Where Prometheus finds the metrics; `null`: nowhere. */
  readonly metrics: string | null;
  /** The data directory. */
  readonly data: string;
  /** Name of the model package. */
  readonly package: string;
  /** Number of the live version. */
  readonly version: number;
  readonly learner: boolean;
  /** Threads of the policy. */
  readonly threads: number;
  /** Whether its idle threads spin. */
  readonly spin: boolean;
  /** Process id of the server. */
  readonly pid: number;
}

/** Exit code of a server that cannot run as it was asked to: starting it again would not help. */
export const configurationExitCode = 78;
