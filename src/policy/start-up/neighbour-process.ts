/**
 * A process that is as busy as the learner, to run beside a measurement. It has the learner's priority and number of
 * threads, and each thread works through more memory than the caches near a core hold. It multiplies in plain
 * JavaScript, because only the use of cores and memory matters, and creating a session would take longer than the
 * measurement. It ends with its parent.
 */

import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { runOnlyWhenIdle } from '../../process/priority.js';

/** Floats in 16 MiB. */
const elements = 4 * 1024 * 1024;
/** Work between two messages, which takes a few milliseconds. */
const elementsPerPass = elements / 2;

if (isMainThread) {
  // Threads that start later have the same priority.
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
    // The receiver may be too busy to read the message at once, so the message carries the time of the work.
    parentPort?.postMessage(performance.timeOrigin + performance.now());
  }
}
