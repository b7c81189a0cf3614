/** What a server process tells the process that started it: the message when it is ready, and an exit code. */

/** The message to the parent process when the server takes calls. */
export interface ServerReady {
  readonly type: 'ready';
  /** `host:port`. */
  readonly address: string;
  /** URL of the metrics for Prometheus; `null`: the server has none. */
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
  /** Whether idle threads of the policy spin. */
  readonly spin: boolean;
  /** Process id of the server. */
  readonly pid: number;
}

/** Exit code of a server that cannot run with its settings, so that a restart does not help. */
export const configurationExitCode = 78;
