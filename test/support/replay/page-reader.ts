/** A thread with a small heap that reads all changes of a store, page by page, and posts what it found. */

import { parentPort, workerData } from 'node:worker_threads';
import { openReplayReader } from '../../../src/replay/index.js';

const { path, pageLength } = workerData as { path: string; pageLength: number };
const reader = openReplayReader(path);
let found = 0;
let outOfOrder = 0;
for (;;) {
  const page = reader.readSince(found, pageLength);
  for (const change of page) {
    found += 1;
    if (change.type !== 'score' || change.sequence !== found || change.value !== found) outOfOrder += 1;
  }
  if (page.length < pageLength) break;
}
reader.close();
parentPort?.postMessage({ found, outOfOrder });
