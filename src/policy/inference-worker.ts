/**
 * The thread that runs the inference. It passes messages in and out and takes turns until it is closed. The thread can
 * be started before its package is known, and then loads its code meanwhile.
 */

import { parentPort } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import { startRuntime } from '../onnx/index.js';
import { type Inference, openInference } from './inference.js';
import type { FromWorker, InferenceMessage, ToWorker, WorkerSettings } from './messages.js';

const port = parentPort;
if (port === null) throw new HoneError('INTERNAL', 'inference-worker.js must run in a worker thread');
const send = (message: FromWorker): void => port.postMessage(message);
/** Messages that arrived before the inference was open. */
const waiting: InferenceMessage[] = [];
let opened = false;
let inference: Inference | undefined;

port.on('message', (message: ToWorker) => {
  if (message.type === 'open') {
    opened = true;
    void serve(message.settings);
  } else if (inference !== undefined) inference.receive(message);
  else if (message.type === 'close' && !opened) port.close();
  else waiting.push(message);
});
await startRuntime();
send({ type: 'loaded' });

async function serve(settings: WorkerSettings): Promise<void> {
  try {
    inference = await openInference(settings, send);
    send({ type: 'ready' });
    for (const message of waiting) inference.receive(message);
    await inference.run();
    await inference.close();
  } catch (thrown) {
    send({ type: 'crashed', error: HoneError.from(thrown).toJSON() });
  }
  port?.close();
}
