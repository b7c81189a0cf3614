/** Takes new versions in between two steps: waits for room, verifies, makes live, proves by the probe. */

import { HoneError } from '../errors.js';
import type { Decoder } from './graph/decoder.js';
import type { HeldVersions } from './held-versions.js';
import type { FromWorker } from './messages.js';
import { probePrompt, probeServed } from './probe.js';
import type { PolicyVersion, SwapReport } from './types.js';

interface PendingSwap {
  readonly call: number;
  readonly version: PolicyVersion;
  readonly askedAt: number;
  /** When it was first found that no version could make room. */
  blockedAt: number | null;
}

export interface SwapperOptions {
  readonly decoder: Decoder;
  readonly versions: HeldVersions;
  readonly vocabularySize: number;
  readonly send: (message: FromWorker) => void;
}

export class Swapper {
  readonly #options: SwapperOptions;
  readonly #pending: PendingSwap[] = [];
  readonly #prompt: readonly number[];

  constructor(options: SwapperOptions) {
    this.#options = options;
    this.#prompt = probePrompt(options.vocabularySize);
  }

  get waiting(): boolean {
    return this.#pending.length > 0;
  }

  request(call: number, version: PolicyVersion): void {
    this.#pending.push({ call, version, askedAt: performance.now(), blockedAt: null });
  }

  /**
   * Between two turns: the next swap, if there is room for it. One at a time, so that streams wait for one at most.
   * @returns how long it took, in milliseconds; null where there was none
   */
  async proceed(): Promise<number | null> {
    const next = this.#pending[0];
    if (next === undefined) return null;
    const startedAt = performance.now();
    if (!this.#options.versions.makeRoomFor(next.version.number)) {
      next.blockedAt ??= startedAt;
      return null;
    }
    this.#pending.shift();
    const { call } = next;
    try {
      this.#options.send({ type: 'swapped', call, report: await this.#swap(next) });
    } catch (thrown) {
      this.#options.send({ type: 'failed', call, error: HoneError.from(thrown).toJSON() });
    }
    return performance.now() - startedAt;
  }

  async #swap({ version, askedAt, blockedAt }: PendingSwap): Promise<SwapReport> {
    const { versions, decoder } = this.#options;
    const waitedMs = blockedAt === null ? 0 : performance.now() - blockedAt;
    const previous = versions.live;
    const held = versions.hold(version);
    versions.setLive(held);
    let probe: SwapReport['probe'] | undefined;
    try {
      probe = await probeServed({
        decoder,
        prompt: this.#prompt,
        serve: (prompt) => this.#serve(prompt),
        candidate: version.adapter,
        previous: previous.adapter,
      });
    } finally {
      // Also where the probe could not even be run.
      if (probe === undefined || probe.verdict === 'failed') {
        versions.setLive(previous);
        versions.drop(held);
      }
    }
    return {
      version: version.number,
      adapterDigest: held.adapterDigest,
      probe,
      durationMs: performance.now() - askedAt,
      waitedMs,
    };
  }

  /** The prompt as a request would have it computed: on a lease of the live version. */
  async #serve(prompt: readonly number[]): Promise<Float32Array> {
    const { versions, decoder } = this.#options;
    const lease = versions.lease();
    try {
      return (await decoder.prefill(prompt, lease.feeds)).logits.data;
    } finally {
      versions.release(lease);
    }
  }
}
