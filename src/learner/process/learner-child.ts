/** One learner process, from its start to its end. */

import { type ChildProcess, fork } from 'node:child_process';
import type { LearnerCommand, LearnerEvent } from './messages.js';

/** How a process ended. */
export interface ChildEnd {
  /** Its exit code or its signal, or why it could not be started. */
  readonly reason: string;
  /** The last that it wrote there. */
  readonly stderr: string;
  readonly livedMs: number;
}

/** JavaScript heap of the process. A process that needs more ends, and is started again. */
const maxHeapMb = 1024;
/** How long a process that was told to stop may take for the step in flight before it is killed. */
const stopGraceMs = 10_000;
const stderrKept = 2000;

export class LearnerChild {
  readonly #child: ChildProcess;
  /** Resolves when the process is gone. */
  readonly ended: Promise<ChildEnd>;

  constructor(onEvent: (event: LearnerEvent) => void) {
    // Not detached: a session of its own would be a scheduling group of its own, and nice values only count within a group.
    const child = fork(new URL('./learner-process.js', import.meta.url), {
      execArgv: [`--max-old-space-size=${maxHeapMb}`],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    const startedAtMs = performance.now();
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-stderrKept);
    });
    child.on('message', onEvent);
    this.ended = new Promise((resolve) => {
      const end = (reason: string): void =>
        resolve({ reason, stderr: stderr.trim(), livedMs: performance.now() - startedAtMs });
      // A process that could not be started emits no 'close'. After any other error it is killed, and 'close' follows.
      child.once('error', (error) => {
        if (child.pid === undefined) end(error.message);
        else child.kill('SIGKILL');
      });
      child.once('close', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
  }

  /** Undefined if the process could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isConnected(): boolean {
    return this.#child.connected;
  }

  /** @param sent called when the message has left, or is lost with a process that is ending */
  send(command: LearnerCommand, sent: () => void = () => undefined): void {
    if (this.isConnected) this.#child.send(command, sent);
    else sent();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets the process finish its step and write its checkpoint; resolves when it is gone. */
  async stop(): Promise<void> {
    this.send({ type: 'stop' });
    const killing = setTimeout(() => this.#child.kill('SIGKILL'), stopGraceMs);
    await this.ended;
    clearTimeout(killing);
  }
}
