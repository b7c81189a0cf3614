/** Keeps a busy neighbour while something is measured, and knows when it got something done. */

import { fork } from 'node:child_process';
import { once } from 'node:events';

/** A stretch of time, milliseconds since 1970. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface Neighbour {
  /** Pieces of work that it did within so many stretches, per millisecond; waits until it has told of all of them. */
  pace(intervals: readonly Interval[]): Promise<number>;
  /** Resolves when it is gone. */
  end(): Promise<void>;
}

/** Resolves when all its threads are busy. */
export async function startNeighbour(threads: number): Promise<Neighbour> {
  const file = new URL('./neighbour-process.js', import.meta.url);
  const child = fork(file, [String(threads)], { stdio: 'ignore', execArgv: [] });
  const exited = once(child, 'exit').catch(() => undefined);
  let gone = false;
  exited.then(() => {
    gone = true;
  });
  const done: number[] = [];
  child.on('message', (atMs: number) => done.push(atMs));
  const message = (): Promise<unknown> => Promise.race([once(child, 'message').catch(() => undefined), exited]);
  // One that cannot be started disturbs nobody, and the measurement is the one of a quiet machine.
  await message();
  return {
    async pace(intervals) {
      const last = Math.max(...intervals.map(({ to }) => to));
      while (!gone && (done.at(-1) ?? 0) <= last) await message();
      const length = intervals.reduce((sum, { from, to }) => sum + to - from, 0);
      return done.filter((atMs) => intervals.some(({ from, to }) => atMs > from && atMs <= to)).length / length;
    },
    async end() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
