/** A child process that answers one message at a time. Peers and gRPC clients run in such processes. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';

export interface Child {
  /** Sends a message and waits for the answer. @throws Error with the process's reason, or if it has ended */
  ask<Reply>(message: object): Promise<Reply>;
  /** Ends the process. */
  close(): Promise<void>;
}

interface Failure {
  readonly type: 'failed';
  readonly message: string;
}

/** Starts a script. Its output goes to standard error. */
export function startChild(script: string, folder?: string): Child {
  const child = fork(script, { stdio: ['ignore', 2, 2, 'ipc'], ...(folder === undefined ? {} : { cwd: folder }) });
  return {
    ask<Reply>(message: object): Promise<Reply> {
      return new Promise((resolve, reject) => {
        const settle = (): void => {
          child.off('message', onMessage).off('exit', onExit).off('error', onError);
        };
        const onMessage = (reply: Reply | Failure): void => {
          settle();
          if (isFailure(reply)) reject(new Error(reply.message));
          else resolve(reply);
        };
        const onExit = (code: number | null): void => {
          settle();
          reject(new Error(`${basename(script)} ended with code ${code}`));
        };
        const onError = (error: Error): void => {
          settle();
          reject(error);
        };
        child.on('message', onMessage).on('exit', onExit).on('error', onError);
        child.send(message);
      });
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}

function isFailure(reply: unknown): reply is Failure {
  return (reply as { readonly type?: unknown }).type === 'failed';
}
