/**
 * What serves: sessions, cache, scheduler and sampling, turn by turn; a message goes out per step. It runs in a thread of
 * its own (`inference-worker.ts`) and knows nothing of threads.
 */

import { createDecoder, type Decoder } from './graph/decoder.js';
import { HeldVersions } from './held-versions.js';
import type { FromWorker, InferenceMessage, WorkerSettings } from './messages.js';
import { Scheduler } from './scheduling/scheduler.js';
import { Swapper } from './swapper.js';

interface InferenceParts {
  readonly decoder: Decoder;
  readonly scheduler: Scheduler;
  readonly versions: HeldVersions;
  readonly swapper: Swapper;
}

export class Inference {
  readonly #send: (message: FromWorker) => void;
  readonly #decoder: Decoder;
  readonly #scheduler: Scheduler;
  readonly #versions: HeldVersions;
  readonly #swapper: Swapper;
  #closing = false;
  #wake: (() => void) | null = null;

  /** Part of {@link openInference}. */
  constructor(send: (message: FromWorker) => void, parts: InferenceParts) {
    this.#send = send;
    this.#decoder = parts.decoder;
    this.#scheduler = parts.scheduler;
    this.#versions = parts.versions;
    this.#swapper = parts.swapper;
  }

  /** Whether it was told to close and nothing is left to do. */
  get done(): boolean {
    return this.#closing && this.#scheduler.idle && !this.#swapper.waiting;
  }

  /** Messages arrive during steps; whatever changes state waits for the step's end. */
  receive(message: InferenceMessage): void {
    switch (message.type) {
      case 'submit':
        this.#scheduler.submit(message.request, message.spec, message.atMs);
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
      case 'status':
        this.#send({
          type: 'status',
          call: message.call,
          status: { ...this.#scheduler.status, heldVersions: this.#versions.numbers },
        });
        return;
      case 'close':
        this.#closing = true;
        this.#scheduler.cancelBackground(() => true);
        break;
    }
    this.#wake?.();
  }

  /**
   * The next swap, if one waits and has room, and a turn of the scheduler.
   * @returns whether anything happened: if not, nothing will until a message arrives
   * @throws HoneError `INTERNAL` when the model cannot be run; the state is then lost
   */
  async turn(): Promise<boolean> {
    const swapMs = await this.#swapper.proceed();
    const happened = await this.#scheduler.turn(this.#send, swapMs ?? 0);
    return happened || swapMs !== null;
  }

  /** Turns until told to close and nothing is left to do. */
  async run(): Promise<void> {
    for (;;) {
      if (await this.turn()) continue;
      if (this.done) return;
      // Nothing goes on before something arrives: what is left is parked, or waits for what is parked.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  /** Frees the model. */
  close(): Promise<void> {
    return this.#decoder.close();
  }
}

/** @throws HoneError what the package or its versions are refused with */
export async function openInference(settings: WorkerSettings, send: (message: FromWorker) => void): Promise<Inference> {
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
  return new Inference(send, { decoder, scheduler, versions, swapper });
}
