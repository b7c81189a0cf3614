/** Runs a busy process beside a measurement and records when it made progress. */

import { fork } from 'node:child_process';
import { once } from 'node:events';

/** A span of time, in milliseconds since 1970. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface Neighbour {
  /** Returns how many pieces of work it did per millisecond of these intervals, once all of them are reported. */
  pace(intervals: readonly Interval[]): Promise<number>;
  /** Ends the process. Resolves when it has ended. */
  end(): Promise<void>;
}

/** Starts the process. Resolves when all its threads are busy. */
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
  // If the process cannot start, the measurement goes on without it.
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
