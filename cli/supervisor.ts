/**
 * Keeps a server process running. It starts the server again, after growing delays, when it dies, and stops it on
 * request. The server ends when the process of the supervisor ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { configurationExitCode, type ServerReady } from '../server/parent-process.js';
import { Restarts } from '../src/process/restarts.js';

/** The program to run, the callbacks, and the delays. */
export interface SupervisorOptions {
  /** The server's JavaScript file. */
  readonly file: string;
  readonly args: readonly string[];
  /** The arguments of the starts after the server was ready once. Default `args`. */
  readonly laterArgs?: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Called each time the server is ready. */
  readonly onReady: (ready: ServerReady) => void;
  /** Called before the server is started again. */
  readonly onRestart: (reason: string, waitMs: number) => void;
  /** First delay before a restart. Default 500. */
  readonly baseDelayMs?: number;
  /** Longest delay before a restart. Default 30000. */
  readonly maxDelayMs?: number;
  /** After a run of at least this time, the delays start again from the first one. Default 60000. */
  readonly stableMs?: number;
}

/**
 * V8 lets a busy server's young generation grow to three times the size that is given here, in MB, before it collects.
 * Its own default is four times as much, and nothing is gained by it: messages of callers are short-lived.
 */
const youngGeneration = '--max-semi-space-size=4';

/** Lets the server collect garbage at the pace of its requests (`server/grpc/garbage-pace.ts`). */
const collectable = '--expose-gc';

/**
 * V8 collects the whole heap when it has grown by this share since the last time, in percent. By itself it lets a busy
 * heap grow to four times its size.
 */
const heapGrowth = '--heap-growing-percent=25';

export class Supervisor {
  readonly #options: Required<SupervisorOptions>;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #wasReady = false;

  constructor(options: SupervisorOptions) {
    this.#options = { baseDelayMs: 500, maxDelayMs: 30_000, stableMs: 60_000, laterArgs: options.args, ...options };
  }

  /**
   * Runs the server until it ends with code 0, is stopped, has a wrong configuration, or ends before it was ever ready.
   * @returns the exit code for the command
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
      // A server that was never ready would fail again. It has printed the reason.
      if (!this.#wasReady) return 1;
      const waitMs = restarts.delayAfter(Date.now() - started);
      onRestart(signal === null ? `ended with code ${code}` : `was ended by ${signal}`, waitMs);
      await delay(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (this.#stop.signal.aborted) return 0;
    }
  }

  /** Asks the server to finish its requests and exit. The second call kills it. */
  stop(): void {
    this.#child?.kill(this.#stop.signal.aborted ? 'SIGKILL' : 'SIGTERM');
    this.#stop.abort();
  }

  #runOnce(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const { file, args: firstArgs, laterArgs, env, onReady } = this.#options;
    const args = this.#wasReady ? laterArgs : firstArgs;
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [youngGeneration, heapGrowth, collectable, file, ...args], {
        env,
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
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
