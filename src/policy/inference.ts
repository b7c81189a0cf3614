/**
 * Serves requests turn by turn, with the decoder, the versions and the scheduler, and sends a message after each step.
 * It runs in a thread of its own (`inference-worker.ts`), but does not depend on that.
 */

import { WakeUp } from '../process/wake-up.js';
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
  readonly #wakeUp = new WakeUp();

  /** Use {@link openInference}. */
  constructor(send: (message: FromWorker) => void, parts: InferenceParts) {
    this.#send = send;
    this.#decoder = parts.decoder;
    this.#scheduler = parts.scheduler;
    this.#versions = parts.versions;
    this.#swapper = parts.swapper;
  }

  /** Whether it is closing and all requests and swaps have ended. */
  get done(): boolean {
    return this.#closing && this.#scheduler.idle && !this.#swapper.waiting;
  }

  /** Takes a message, which may arrive during a step. Orders take effect after the step. */
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
    this.#wakeUp.call();
  }

  /**
   * Runs the next swap, if one waits and has room, and a turn of the scheduler.
   * @returns whether anything happened. If not, nothing will happen until a message arrives.
   * @throws HoneError `INTERNAL` if the model cannot be run; the state is then lost
   */
  async turn(): Promise<boolean> {
    const swapMs = await this.#swapper.proceed();
    const happened = await this.#scheduler.turn(this.#send, swapMs ?? 0);
    return happened || swapMs !== null;
  }

  /** Takes turns until the inference is closed and done. */
  async run(): Promise<void> {
    for (;;) {
      if (await this.turn()) continue;
      if (this.done) return;
      // All requests that are left are parked or wait for parked ones, so only a message can change anything.
      await this.#wakeUp.wait(null);
    }
  }

  /** Releases the model. */
  close(): Promise<void> {
    return this.#decoder.close();
  }
}

/** @throws HoneError if the package or one of the versions cannot be served */
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
    // Background requests must not delay a swap.
    onBlocked: () => scheduler.cancelBackground(({ version }) => version !== null && versions.isDroppable(version)),
  });
  return new Inference(send, { decoder, scheduler, versions, swapper });
}
