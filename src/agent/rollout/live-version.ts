/**
 * Knows which version is live, and changes it: first the policy swaps the weights, then the log records the new
 * version.
 *
 * A promotion makes a candidate live. A rollback does the same with a new candidate that points at older weights. After
 * a crash before the record, the next start serves the version before. The candidate's number stays taken, so
 * generations that ran on it keep a version that exists. Changes happen one after another.
 */

import { HoneError, inWords } from '../../errors.js';
import type { Policy, SwapReport } from '../../policy/index.js';
import { SerialQueue } from '../../process/serial-queue.js';
import { descendsFromImport, type Version, type VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import { publishVersionFailure } from '../events/version-failure.js';
import type { Learner } from '../learner.js';

/** Which weights answer now. Every door sends this along with each call. */
export interface ServedIdentity {
  readonly version: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
}

export interface LiveVersionOptions {
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly learner: Learner | null;
  readonly events: EventLog;
  /** Called after a version has gone live. */
  readonly onLive?: (version: Version) => void;
}

export class LiveVersion {
  readonly #policy: Policy;
  readonly #versions: VersionLog;
  readonly #learner: Learner | null;
  readonly #events: EventLog;
  readonly #onLive: (version: Version) => void;
  #identity: ServedIdentity;
  #rolledBackAt: number;
  #lastSwap: SwapReport | null = null;
  readonly #queue = new SerialQueue('the server is stopping; the live version stays');

  /** The policy must already serve the live version of the log. */
  constructor(options: LiveVersionOptions) {
    this.#policy = options.policy;
    this.#versions = options.versions;
    this.#learner = options.learner;
    this.#events = options.events;
    this.#onLive = options.onLive ?? (() => undefined);
    this.#identity = identityOf(options.versions.live());
    this.#rolledBackAt = options.versions.list().findLast(wasRolledBackTo)?.number ?? 0;
  }

  get identity(): ServedIdentity {
    return this.#identity;
  }

  /**
   * Number of the version that the last rollback made. What was trained from an older version carries the weights
   * that were rolled back.
   */
  get rolledBackAt(): number {
    return this.#rolledBackAt;
  }

  get lastSwap(): SwapReport | null {
    return this.#lastSwap;
  }

  /**
   * Makes a candidate, or a version on trial, live. If that fails, the live version stays.
   * @param detail the reason, for the event
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `ADAPTER_INVALID`, `WORKER_CRASHED`, `STORE_FULL`
   */
  promote(number: number, detail?: string): Promise<Version> {
    return this.#queue.run(async () => {
      const candidate = this.#versions.get(number);
      if (candidate === undefined) throw new HoneError('VERSION_NOT_FOUND', `there is no version ${number}`);
      const version = await this.#serve(candidate);
      this.#publish('version_promoted', version, detail);
      this.#tellLearner(version, false);
      return version;
    });
  }

  /**
   * Serves the weights of an older version as a new version. If that fails, the live version stays.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `ADAPTER_INVALID`, `WORKER_CRASHED`, `STORE_FULL`
   */
  rollback(number: number): Promise<Version> {
    return this.#queue.run(async () => {
      const candidate = await this.#versions.rollback(number);
      const version = await this.#serve(candidate).catch(async (thrown) => {
        await this.#giveUp(candidate, `version ${number} could not be served again: ${inWords(thrown)}`);
        throw thrown;
      });
      this.#rolledBackAt = version.number;
      this.#publish('version_rolled_back', version, `serves the weights of version ${number}`);
      this.#tellLearner(version, true);
      return version;
    });
  }

  /** Waits for the changes in flight and refuses later ones. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  #tellLearner({ number: version, adapterDigest }: Version, rolledBack: boolean): void {
    const imported = descendsFromImport(this.#versions.list(), version);
    this.#learner?.live({
      version,
      adapterPath: this.#versions.adapterPath(version),
      adapterDigest,
      rolledBack,
      imported,
    });
  }

  /** Swaps a version in and records it as the live one. If that fails, the version before it serves again. */
  async #serve(version: Version): Promise<Version> {
    const previous = this.#versions.live();
    await this.#swap(version);
    try {
      const live = await this.#versions.promote(version.number);
      this.#onLive(live);
      return live;
    } catch (error) {
      await this.#swap(previous);
      throw error;
    }
  }

  /** Rejects the new version of a rollback that failed. */
  async #giveUp(version: Version, reason: string): Promise<void> {
    const { number, adapterDigest } = version;
    try {
      await this.#versions.reject(number, reason);
      this.#events.publish({ type: 'version_rejected', version: number, adapterDigest, detail: reason });
    } catch (thrown) {
      publishVersionFailure(this.#events, `${reason}; its rejection could not be recorded`, thrown, version);
    }
  }

  #publish(type: 'version_promoted' | 'version_rolled_back', version: Version, detail?: string): void {
    const { number, adapterDigest } = version;
    const numbers = swapNumbers(this.#lastSwap);
    this.#events.publish({
      type,
      version: number,
      adapterDigest,
      numbers,
      ...(detail === undefined ? {} : { detail }),
    });
  }

  async #swap(version: Version): Promise<void> {
    const { number, adapterDigest } = version;
    const adapter = await this.#versions.readAdapter(number);
    const report = await this.#policy.swap({ number, adapterDigest, adapter });
    if (report.adapterDigest !== adapterDigest || report.probe.verdict === 'failed') {
      await this.#swapBack();
      throw new HoneError(
        'ADAPTER_INVALID',
        `the worker does not serve version ${number}: its digest is ${report.adapterDigest}, recorded is ${adapterDigest}; probe ${report.probe.verdict}`,
      );
    }
    this.#lastSwap = report;
    this.#identity = identityOf(version);
  }

  async #swapBack(): Promise<void> {
    const { version: number, adapterDigest } = this.#identity;
    await this.#policy.swap({ number, adapterDigest, adapter: await this.#versions.readAdapter(number) });
  }
}

function wasRolledBackTo({ origin, state }: Version): boolean {
  return origin === 'rollback' && (state === 'live' || state === 'retired');
}

function identityOf(version: Version): ServedIdentity {
  const { number, adapterDigest, packageDigest } = version;
  return { version: number, adapterDigest, packageDigest };
}

function swapNumbers(report: SwapReport | null): Record<string, number> {
  if (report === null) return {};
  const { durationMs, waitedMs, probe } = report;
  return {
    duration_ms: durationMs,
    waited_ms: waitedMs,
    probe_to_new: probe.toNew,
    probe_to_previous: probe.toPrevious,
  };
}
