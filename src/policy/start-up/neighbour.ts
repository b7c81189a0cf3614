/** Keeps a busy neighbour while something is measured. */

import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface Neighbour {
  /** Resolves when it is gone. */
  end(): Promise<void>;
}

/** Resolves when all its threads are busy. */
export async function startNeighbour(threads: number): Promise<Neighbour> {
  const child = fork(new URL('./neighbour-process.js', import.meta.url), [String(threads)], {
    stdio: 'ignore',
    execArgv: [],
  });
  const exited = once(child, 'exit');
  // One that cannot be started disturbs nobody, and the measurement is the one of a quiet machine.
  await Promise.race([once(child, 'message'), exited]).catch(() => undefined);
  return {
    async end() {
      child.kill('SIGKILL');
      await exited.catch(() => undefined);
    },
  };
}
