/**
 * The way of a candidate to the head, and the way back.
 *
 * Promotion: adopted (files and log entry on disk) -> judged -> swapped -> recorded as the head. A rollback goes the same
 * way with a candidate that points at older weights. A crash before the record serves the previous head again; the
 * candidate's number stays taken, so generations that ran on it already keep a version that exists. Changes of the head
 * happen one after another.
 */

import { HoneError } from '../errors.js';
import type { LearnerEvent } from '../learner/types.js';
import type { Policy, SwapReport } from '../policy/types.js';
import type { AdapterFiles, Version, VersionLog } from '../versions/index.js';
import type { EventLog } from './event-log.js';
import { judgeCandidate } from './judge.js';
import type { Learner, ServedIdentity } from './types.js';

type CandidateEvent = Extract<LearnerEvent, { readonly type: 'candidate' }>;

export interface HeadOptions {
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly learner: Learner | null;
  readonly events: EventLog;
  /** Told after a version has gone live. */
  readonly onLive?: (version: Version) => void;
}

/** Holds what serves now and moves it. */
export class Head {
  readonly #policy: Policy;
  readonly #versions: VersionLog;
  readonly #learner: Learner | null;
  readonly #events: EventLog;
  readonly #onLive: (version: Version) => void;
  #identity: ServedIdentity;
  /** Number of the last rollback; what was trained from before it carries the weights that were rolled back. */
  #rolledBackAt: number;
  #lastSwap: SwapReport | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** The policy must already serve the log's head. */
  constructor(options: HeadOptions) {
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

  get lastSwap(): SwapReport | null {
    return this.#lastSwap;
  }

  /** Takes a trained adapter over; never rejects, for nobody waits: events tell what became of it. */
  consider(candidate: CandidateEvent): Promise<void> {
    return this.#serially(() => this.#promote(candidate)).catch((thrown: unknown) => this.#failed(thrown));
  }

  /**
   * Takes an adapter from elsewhere over: resolves once it is recorded as a candidate, which then goes the way of a trained
   * one; events tell what became of it.
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`, `DRAINING`
   */
  import(files: AdapterFiles, maxRank?: number): Promise<Version> {
    return new Promise((resolve, reject) => {
      let recorded = false;
      const task = async (): Promise<void> => {
        const adopted = await this.#versions.import(files, maxRank);
        recorded = true;
        resolve(adopted);
        await this.#decide(adopted, adopted.metrics);
      };
      this.#serially(task).catch((thrown: unknown) => {
        if (recorded) this.#failed(thrown);
        else reject(thrown);
      });
    });
  }

  /** @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `ADAPTER_INVALID`, `WORKER_CRASHED`, `STORE_FULL` */
  rollback(number: number): Promise<Version> {
    return this.#serially(async () => {
      const candidate = await this.#versions.rollback(number);
      try {
        await this.#swap(candidate);
      } catch (error) {
        await this.#versions.reject(candidate.number, HoneError.from(error).message);
        throw error;
      }
      const version = await this.#record(candidate);
      this.#rolledBackAt = version.number;
      this.#publish('version_rolled_back', version, `serves the weights of version ${number}`);
      this.#learner?.live(version.number, this.#versions.adapterPath(version.number), true);
      return version;
    });
  }

  /** Waits for the change in flight; later ones are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.catch(() => undefined);
  }

  async #promote(candidate: CandidateEvent): Promise<void> {
    await this.#decide(await this.#versions.adopt(candidate), candidate.metrics);
  }

  /** Judges what was adopted and makes it the head, or turns it down. */
  async #decide(adopted: Version, reported: Readonly<Record<string, number>>): Promise<void> {
    const { number, adapterDigest, metrics, parent } = adopted;
    this.#events.publish({ type: 'version_created', version: number, adapterDigest, numbers: metrics });
    if (parent !== null && parent < this.#rolledBackAt) {
      return this.#reject(adopted, `it was trained from version ${parent}, before the last rollback`);
    }
    const verdict = judgeCandidate(await this.#versions.readAdapter(number), reported);
    if (!verdict.promote) return this.#reject(adopted, verdict.reason);
    try {
      await this.#swap(adopted);
    } catch (thrown) {
      return this.#reject(adopted, HoneError.from(thrown).message);
    }
    this.#publish('version_promoted', await this.#record(adopted));
    this.#learner?.live(number, this.#versions.adapterPath(number), false);
  }

  /** Records what serves already as the head; where that fails, the head serves again. */
  async #record(version: Version): Promise<Version> {
    const previous = this.#versions.live();
    try {
      const live = await this.#versions.promote(version.number);
      this.#onLive(live);
      return live;
    } catch (error) {
      await this.#swap(previous);
      throw error;
    }
  }

  async #reject(version: Version, reason: string): Promise<void> {
    await this.#versions.reject(version.number, reason);
    const { number, adapterDigest } = version;
    this.#events.publish({ type: 'version_rejected', version: number, adapterDigest, detail: reason });
  }

  #failed(thrown: unknown): void {
    const { code, message } = HoneError.from(thrown);
    this.#events.publish({ type: 'version_rejected', detail: `${code}: ${message}` });
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

  #serially<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new HoneError('DRAINING', 'the server is stopping; the head stays'));
    const result = this.#queue.then(task, task);
    this.#queue = result.catch(() => undefined);
    return result;
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
