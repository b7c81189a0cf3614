/** Adds versions between two turns: waits for room, checks them, makes them live or pins them, and probes them. */

import { HoneError } from '../errors.js';
import type { Decoder } from './graph/decoder.js';
import type { HeldVersion, HeldVersions } from './held-versions.js';
import type { FromWorker } from './messages.js';
import type { PolicyVersion, SwapReport } from './policy-version.js';
import { probePrompt, probeServed } from './probe.js';

interface PendingVersion {
  readonly call: number;
  /** Whether the version becomes live or is held beside the live one. */
  readonly as: 'live' | 'held';
  readonly version: PolicyVersion;
  readonly askedAtMs: number;
  /** When the version first had to wait for room. */
  blockedAtMs: number | null;
}

interface SwapperOptions {
  readonly decoder: Decoder;
  readonly versions: HeldVersions;
  readonly vocabularySize: number;
  readonly send: (message: FromWorker) => void;
  /** Called before each turn in which a version waits for room. */
  readonly onBlocked?: () => void;
}

export class Swapper {
  readonly #options: SwapperOptions;
  readonly #pending: PendingVersion[] = [];
  readonly #prompt: readonly number[];

  constructor(options: SwapperOptions) {
    this.#options = options;
    this.#prompt = probePrompt(options.vocabularySize);
  }

  get waiting(): boolean {
    return this.#pending.length > 0;
  }

  request(call: number, as: 'live' | 'held', version: PolicyVersion): void {
    this.#pending.push({ call, as, version, askedAtMs: performance.now(), blockedAtMs: null });
  }

  /**
   * Adds the next version, if there is room for it. Call it between two turns. Only one is added per call, so that
   * streams wait for one at most.
   * @returns how long it took, in milliseconds, or `null` if no version was added
   */
  async proceed(): Promise<number | null> {
    const next = this.#pending[0];
    if (next === undefined) return null;
    const startedAtMs = performance.now();
    if (!this.#hasRoom(next)) {
      next.blockedAtMs ??= startedAtMs;
      this.#options.onBlocked?.();
      return null;
    }
    this.#pending.shift();
    const { call } = next;
    try {
      this.#options.send({ type: 'version_added', call, report: await this.#add(next) });
    } catch (thrown) {
      this.#options.send({ type: 'failed', call, error: HoneError.from(thrown).toJSON() });
    }
    return performance.now() - startedAtMs;
  }

  /** A hold that will be refused needs no room. */
  #hasRoom({ as, version: { number } }: PendingVersion): boolean {
    const { versions } = this.#options;
    return (as === 'held' && !versions.isPinnable(number)) || versions.makeRoomFor(number);
  }

  async #add({ as, version, askedAtMs, blockedAtMs }: PendingVersion): Promise<SwapReport> {
    const { versions } = this.#options;
    if (as === 'held') versions.checkPinnable(version.number);
    const waitedMs = blockedAtMs === null ? 0 : performance.now() - blockedAtMs;
    const previous = versions.live;
    const held = versions.hold(version);
    if (as === 'live') versions.setLive(held);
    let probe: SwapReport['probe'] | undefined;
    try {
      probe = await this.#probe(version, held, previous);
      if (as === 'held' && probe.verdict !== 'failed') versions.pin(held);
    } finally {
      // This also happens if the probe could not be run.
      if (probe === undefined || probe.verdict === 'failed') {
        versions.setLive(previous);
        versions.drop(held);
      }
    }
    return {
      version: version.number,
      adapterDigest: held.adapterDigest,
      probe,
      durationMs: performance.now() - askedAtMs,
      waitedMs,
    };
  }

  #probe(version: PolicyVersion, { number }: HeldVersion, previous: HeldVersion): Promise<SwapReport['probe']> {
    return probeServed({
      decoder: this.#options.decoder,
      prompt: this.#prompt,
      serve: (prompt) => this.#serve(prompt, number),
      added: version.adapter,
      previous: previous.adapter,
    });
  }

  /** Runs the prompt as for a request, with a lease on the version. */
  async #serve(prompt: readonly number[], number: number): Promise<Float32Array> {
    const { versions, decoder } = this.#options;
    const lease = versions.lease(number);
    try {
      return (await decoder.prefill(prompt, lease.feeds)).logits.data;
    } finally {
      versions.release(lease);
    }
  }
}
