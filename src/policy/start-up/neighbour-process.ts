/**
 * A process that is busy as the learner is, for a measurement beside it: at the lowest priority, on as many threads, each
 * going through more memory than the caches near a core hold, as products do. It multiplies in plain JavaScript: what
 * disturbs a neighbour is that the core and the memory are in use, and a session of its own would take longer to make
 * than the measurement lasts. Ends with its parent.
 */

import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { runOnlyWhenIdle } from '../../process/priority.js';

/** 16 MiB. */
const elements = 4 * 1024 * 1024;
/** Work between two messages: a few milliseconds. */
const elementsPerPass = elements / 2;

if (isMainThread) {
  // Threads that are made from now on have the priority too.
  runOnlyWhenIdle();
  process.once('disconnect', () => process.exit(0));
  const threads = Number(process.argv[2]);
  const busy = new Set<number>();
  for (let i = 0; i < threads; i++) {
    new Worker(new URL(import.meta.url)).on('message', (atMs: number) => {
      busy.add(i);
      if (busy.size === threads && process.connected) process.send?.(atMs);
    });
  }
} else {
  const values = new Float32Array(elements).fill(1);
  for (let start = 0; ; start = (start + elementsPerPass) % elements) {
    for (let i = start; i < start + elementsPerPass; i++) values[i] = (values[i] as number) * 0.999 + 0.001;
    // Who is told may be too busy to listen: the time of the work counts, not of the message.
    parentPort?.postMessage(performance.timeOrigin + performance.now());
  }
}
