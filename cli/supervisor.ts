/**
 * Keeps a server process running: starts it again with growing waits when it dies, passes a request to stop on, and is
 * itself the parent whose end the server notices. It holds no state of the server's.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { configurationExitCode, type ServerReady } from '../server/parent-process.js';
import { Restarts } from '../src/process/restarts.js';

/** What to run and whom to tell. */
export interface SupervisorOptions {
  /** The server's JavaScript file. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Called each time the server takes calls. */
  readonly onReady: (ready: ServerReady) => void;
  /** Called before the server is started again. */
  readonly onRestart: (reason: string, waitMs: number) => void;
  /** First wait before a restart. Default 500. */
  readonly baseDelayMs?: number;
  /** Longest wait. Default 30000. */
  readonly maxDelayMs?: number;
  /** A server that ran this long starts with the first wait again. Default 60000. */
  readonly stableMs?: number;
}

export class Supervisor {
  readonly #options: Required<SupervisorOptions>;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #wasReady = false;

  constructor(options: SupervisorOptions) {
    this.#options = { baseDelayMs: 500, maxDelayMs: 30_000, stableMs: 60_000, ...options };
  }

  /**
   * Runs the server until it ends by itself, was stopped, or could not even start the first time; resolves to the exit
   * code for the command.
   */
  async run(): Promise<number> {
    const { baseDelayMs, maxDelayMs, stableMs, onRestart } = this.#options;
    const restarts = new Restarts({ firstMs: baseDelayMs, longestMs: maxDelayMs, stableMs });
    for (;;) {
      const started = Date.now();
      const { code, signal } = await this.#runOnce();
      if (code === 0) return 0;
      if (this.#stop.signal.aborted) return code ?? 1;
      if (code === configurationExitCode) return code;
      // What never worked is not repaired by trying again; it has said why.
      if (!this.#wasReady) return 1;
      const waitMs = restarts.delayAfter(Date.now() - started);
      onRestart(signal === null ? `ended with code ${code}` : `was ended by ${signal}`, waitMs);
      await delay(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (this.#stop.signal.aborted) return 0;
    }
  }

  /** Asks the server to end its requests and exit; asked a second time, ends it at once. */
  stop(): void {
    this.#child?.kill(this.#stop.signal.aborted ? 'SIGKILL' : 'SIGTERM');
    this.#stop.abort();
  }

  #runOnce(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const { file, args, env, onReady } = this.#options;
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [file, ...args], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      this.#child = child;
      child.on('message', (message: ServerReady) => {
        if (message.type !== 'ready') return;
        this.#wasReady = true;
        onReady(message);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        resolve({ code, signal });
      });
    });
  }
}
