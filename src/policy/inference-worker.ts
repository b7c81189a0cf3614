/**
 * The thread that serves: sessions, cache, scheduler and sampling live here; a message goes out per step. It may be
 * started before it is known what it serves, and gets ready as far as it can meanwhile.
 */

import { parentPort } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import { startRuntime } from '../onnx/index.js';
import { createDecoder, type Decoder } from './graph/decoder.js';
import { HeldVersions } from './held-versions.js';
import type { FromWorker, ToWorker, WorkerSettings } from './messages.js';
import { Scheduler } from './scheduling/scheduler.js';
import { Swapper } from './swapper.js';

type WorkerMessage = Exclude<ToWorker, { readonly type: 'open' }>;

class InferenceWorker {
  readonly #send: (message: FromWorker) => void;
  readonly #scheduler: Scheduler;
  readonly #versions: HeldVersions;
  readonly #swapper: Swapper;
  #closing = false;
  #wake: (() => void) | null = null;

  constructor(
    send: (message: FromWorker) => void,
    parts: { readonly scheduler: Scheduler; readonly versions: HeldVersions; readonly swapper: Swapper },
  ) {
    this.#send = send;
    this.#scheduler = parts.scheduler;
    this.#versions = parts.versions;
    this.#swapper = parts.swapper;
  }

  /** Messages arrive during steps; whatever changes state waits for the step's end. */
  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'submit':
        this.#scheduler.submit(message.request, message.completion, message.atMs);
        break;
      case 'cancel':
        this.#scheduler.cancel(message.request);
        break;
      case 'park':
        this.#scheduler.park(message.request);
        break;
      case 'resume':
        this.#scheduler.resume(message.request);
        break;
      case 'swap':
        this.#swapper.request(message.call, 'live', message.version);
        break;
      case 'hold':
        this.#swapper.request(message.call, 'held', message.version);
        break;
      case 'release':
        this.#versions.unpin(message.version);
        break;
      case 'clear_prefixes':
        this.#scheduler.clearPrefixes(() => this.#send({ type: 'prefixes_cleared', call: message.call }));
        break;
      case 'stats':
        this.#send({
          type: 'stats',
          call: message.call,
          stats: { ...this.#scheduler.stats, heldVersions: this.#versions.numbers },
        });
        return;
      case 'close':
        this.#closing = true;
        this.#scheduler.cancelBackground(() => true);
        break;
    }
    this.#wake?.();
  }

  /** Turns until told to close and nothing is left to do. */
  async run(): Promise<void> {
    for (;;) {
      const swapMs = await this.#swapper.proceed();
      const happened = await this.#scheduler.turn(this.#send, swapMs ?? 0);
      if (happened || swapMs !== null) continue;
      if (this.#closing && this.#scheduler.idle && !this.#swapper.waiting) return;
      // Nothing goes on before something arrives: what is left is parked, or waits for what is parked.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}

async function openWorker(
  settings: WorkerSettings,
  send: (message: FromWorker) => void,
): Promise<[InferenceWorker, Decoder]> {
  const { versions: initial, held, ...limits } = settings;
  const decoder = await createDecoder(limits);
  const versions = new HeldVersions(decoder, settings.maxLiveVersions);
  for (const version of initial) {
    const taken = versions.hold(version);
    versions.setLive(taken);
    if (held.includes(taken.number)) versions.pin(taken);
  }
  const scheduler = new Scheduler({ ...limits, decoder, versions });
  const swapper = new Swapper({
    decoder,
    versions,
    vocabularySize: settings.vocabularySize,
    send,
    // What nobody waits for does not hold a version up.
    onBlocked: () => scheduler.cancelBackground(({ version }) => version !== null && versions.isPassing(version)),
  });
  return [new InferenceWorker(send, { scheduler, versions, swapper }), decoder];
}

const port = parentPort;
if (port === null) throw new HoneError('INTERNAL', 'the inference worker runs in a worker thread only');
const send = (message: FromWorker): void => port.postMessage(message);
/** What came before the worker was there to receive it. */
const waiting: WorkerMessage[] = [];
let opened = false;
let worker: InferenceWorker | undefined;

port.on('message', (message: ToWorker) => {
  if (message.type === 'open') {
    opened = true;
    void serve(message.settings);
  } else if (worker !== undefined) worker.receive(message);
  else if (message.type === 'close' && !opened) port.close();
  else waiting.push(message);
});
await startRuntime();
send({ type: 'loaded' });

async function serve(settings: WorkerSettings): Promise<void> {
  try {
    const [ready, decoder] = await openWorker(settings, send);
    worker = ready;
    send({ type: 'ready' });
    for (const message of waiting) worker.receive(message);
    await worker.run();
    await decoder.close();
  } catch (thrown) {
    send({ type: 'crashed', error: HoneError.from(thrown).toJSON() });
  }
  port?.close();
}
