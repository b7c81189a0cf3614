/** The child process of a reward model or function: it answers one command at a time, each within a time limit. */

import { type ChildProcess, fork } from 'node:child_process';
import { HoneError } from '../../errors.js';
import type { RewardCommand, RewardEvent } from './messages.js';

/** Characters of standard error that are kept to find out why a process ended. */
const stderrKept = 16_384;
/** Characters of standard error that a failure message quotes. */
const stderrQuoted = 500;

export class RewardChild {
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #asked = false;
  #endedUnasked = false;

  /** Starts the process; it is ready when it answers the command `start`. */
  constructor() {
    // Not detached, because the nice value has effect only within the scheduling group of a session, as for the learner.
    const child = fork(new URL('./process.js', import.meta.url), {
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.ended = new Promise<void>((resolve) => {
      child.once('close', () => {
        this.#endedUnasked = !this.#asked;
        resolve();
      });
      // A process that could not be started emits no `close`. One that cannot receive a message is killed.
      child.once('error', () => {
        child.kill('SIGKILL');
        if (child.pid === undefined) resolve();
      });
    });
  }

  /** Whether it ended while no command waited for its answer. */
  get endedUnasked(): boolean {
    return this.#endedUnasked;
  }

  /** How it ended, for a message: "ended its process (exit code 7)". */
  get ending(): string {
    const { signalCode, exitCode } = this.#child;
    if (signalCode === null) return `ended its process (exit code ${exitCode})`;
    const why = signalCode === 'SIGKILL' ? ', as the system does when memory runs out' : '';
    return `was ended by the signal ${signalCode}${why}`;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /**
   * Sends a command and waits for the event that `answer` accepts. A process that does not answer in time is killed.
   * @param answer returns the answer in an event, or `undefined` for an event that is not the answer
   * @throws HoneError `WORKER_CRASHED` if the process ends, `DEADLINE_EXCEEDED` if it does not answer in time; every error
   * that `answer` throws
   */
  ask<Answer>(
    command: RewardCommand,
    timeoutMs: number,
    answer: (event: RewardEvent) => Answer | undefined,
  ): Promise<Answer> {
    const child = this.#child;
    this.#asked = true;
    return new Promise<Answer>((resolve, reject) => {
      let stderr = '';
      let late = false;
      const hearError = (text: Buffer): void => {
        stderr = (stderr + text.toString('utf8')).slice(-stderrKept);
      };
      const timer = setTimeout(() => {
        late = true;
        child.kill('SIGKILL');
      }, timeoutMs);
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        this.#asked = false;
        child.off('message', hear);
        child.off('close', ended);
        child.stderr?.off('data', hearError);
        // Unread output would fill the pipe and block the process.
        child.stderr?.resume();
        end();
      };
      const hear = (event: RewardEvent): void => {
        // User code may send messages of its own.
        if (typeof event !== 'object' || event === null) return;
        try {
          const value = answer(event);
          if (value !== undefined) settle(() => resolve(value));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const ended = (): void =>
        settle(() => {
          reject(
            late
              ? new HoneError('DEADLINE_EXCEEDED', `gave no answer within ${timeoutMs} ms and was killed`)
              : new HoneError('WORKER_CRASHED', `${this.ending}${quote(stderr)}`),
          );
        });
      child.on('message', hear);
      child.once('close', ended);
      child.stderr?.on('data', hearError);
      child.send(command, () => undefined);
    });
  }
}

/** What the last lines of standard error tell of an ending. */
function quote(stderr: string): string {
  const text = stderr.trim();
  if (text === '') return '';
  // The line with the reason stands before a long trace of native functions.
  if (text.includes('heap out of memory')) return ', because its memory (the JavaScript heap) was full';
  return `: ${text.slice(-stderrQuoted)}`;
}
