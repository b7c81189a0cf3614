/** The child process of a reward model or function: it answers one command at a time, each within a time limit. */

import { type ChildProcess, fork } from 'node:child_process';
import { HoneError } from '../../errors.js';
import type { RewardCommand, RewardEvent } from './messages.js';

/** Characters of standard error that a failure message quotes. */
const stderrKept = 500;

export class RewardChild {
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;

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
      child.once('close', () => resolve());
      // A process that could not be started emits no `close`. One that cannot receive a message is killed.
      child.once('error', () => {
        child.kill('SIGKILL');
        if (child.pid === undefined) resolve();
      });
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /**
   * Sends a command and waits for the event that `answer` accepts. A process that does not answer in time is killed.
   * @param answer returns the answer in an event, or `undefined` for an event that is not the answer
   * @throws HoneError `WORKER_CRASHED` if the process ends or does not answer in time; every error that `answer` throws
   */
  ask<Answer>(
    command: RewardCommand,
    timeoutMs: number,
    answer: (event: RewardEvent) => Answer | undefined,
  ): Promise<Answer> {
    const child = this.#child;
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
        child.off('message', hear);
        child.off('close', ended);
        child.stderr?.off('data', hearError);
        // Unread output would fill the pipe and block the process.
        child.stderr?.resume();
        end();
      };
      const hear = (event: RewardEvent): void => {
        try {
          const value = answer(event);
          if (value !== undefined) settle(() => resolve(value));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const ended = (): void =>
        settle(() => {
          const how = child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
          const quoted = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
          const message = late ? `gave no answer within ${timeoutMs} ms and was killed` : `ended (${how})${quoted}`;
          reject(new HoneError('WORKER_CRASHED', message));
        });
      child.on('message', hear);
      child.once('close', ended);
      child.stderr?.on('data', hearError);
      child.send(command, () => undefined);
    });
  }
}
