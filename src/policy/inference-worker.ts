/** The thread that serves: messages in, turns until it is told to close, messages out. */

import { parentPort, workerData } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import { openInference } from './inference.js';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.js';

const port = parentPort;
if (port === null) throw new HoneError('INTERNAL', 'the inference worker runs in a worker thread only');
try {
  const inference = await openInference(workerData as WorkerSettings, (message) => port.postMessage(message));
  port.on('message', (message: ToWorker) => inference.receive(message));
  port.postMessage({ type: 'ready' } satisfies FromWorker);
  await inference.run();
  await inference.close();
} catch (thrown) {
  port.postMessage({ type: 'crashed', error: HoneError.from(thrown).toJSON() } satisfies FromWorker);
}
port.close();
