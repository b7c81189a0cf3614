/**
 * The versions of a data directory: which exist, which one serves, and their weights.
 *
 * Every change is one line of `log.jsonl`, on disk before it is true. An adapter's files are in place before the line
 * that names them, so a crash between the two leaves a directory without a line, which the next adoption replaces.
 * Numbers only grow, through rollbacks and changes of the package too.
 */

import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { SerialQueue } from '../process/serial-queue.js';
import { adapterTargets, checkSameLayers, digestAdapter, zeroAdapter } from './adapter.js';
import {
  type AdapterFiles,
  encodeAdapter,
  finiteMetrics,
  readAdapter as readAdapterFiles,
  writeAdapter,
} from './adapter-files.js';
import { type Candidate, checkCandidate } from './candidate.js';
import { moveDirectoryDurably } from './durable-files.js';
import type { LogEntry } from './history.js';
import { maxImportBytes, readImported } from './imported.js';
import { VersionLogFile } from './log-file.js';
import type { VersionLogOptions } from './options.js';
import {
  adapterDirectory,
  defaultKeepVersions,
  finishRemovals,
  removable,
  removeAdapters,
  unneeded,
  weightsRemoved,
} from './retention.js';
import type { Adapter, TrialState, Version, VersionCheck } from './types.js';

/**
 * Opens or creates the log. Where the head's files are damaged, the last version whose files are whole becomes the head
 * anew; {@link VersionLog.warnings} says so.
 * @throws HoneError `STORE_CORRUPT` when the log is damaged
 */
export async function openVersionLog(options: VersionLogOptions): Promise<VersionLog> {
  const file = await VersionLogFile.open(join(options.directory, 'log.jsonl'));
  const log = new VersionLog(file, options);
  try {
    await finishRemovals(file.history, options.directory);
    await log.settle();
    await log.makeRoom();
    return log;
  } catch (error) {
    await log.close();
    throw error;
  }
}

export class VersionLog {
  readonly #file: VersionLogFile;
  readonly #directory: string;
  readonly #packageDigest: string;
  readonly #zeroAdapter: Adapter;
  readonly #keepVersions: number;
  readonly #onRemoved: NonNullable<VersionLogOptions['onRemoved']>;
  readonly #now: () => number;
  readonly #warnings: HoneError[] = [];
  readonly #queue = new SerialQueue('the version log is closed');
  #closing: Promise<void> | undefined;

  /** Use {@link openVersionLog}. */
  constructor(file: VersionLogFile, options: VersionLogOptions) {
    this.#file = file;
    this.#directory = options.directory;
    this.#packageDigest = options.packageDigest;
    this.#zeroAdapter = options.zeroAdapter;
    this.#keepVersions = options.keepVersions ?? defaultKeepVersions;
    this.#onRemoved = options.onRemoved ?? (() => undefined);
    this.#now = options.now ?? Date.now;
  }

  /** What was found wrong at opening and worked around: versions that were passed over because their files are damaged. */
  get warnings(): readonly HoneError[] {
    return this.#warnings;
  }

  /** All versions by number, oldest first. */
  list(): readonly Version[] {
    return this.#file.history.versions;
  }

  /** The head: the version that serves. */
  live(): Version {
    const { head } = this.#file.history;
    if (head === undefined) throw new HoneError('INTERNAL', 'the version log has no head yet');
    return head;
  }

  /** The version of that number, if there is one. */
  get(number: number): Version | undefined {
    return this.#file.history.versions[number];
  }

  /** Directory of a version's adapter, or null where it is the zero adapter. @throws HoneError `VERSION_NOT_FOUND` */
  adapterPath(number: number): string | null {
    const weights = this.#file.history.weightsOf(number);
    return weights.origin === 'base' ? null : this.#directoryOf(weights.number);
  }

  /**
   * A version's weights, checked against the digest in the log and the layers of the package.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (removed), `ADAPTER_INVALID` (damaged),
   * `ADAPTER_MISMATCH` (another package's)
   */
  async readAdapter(number: number): Promise<Adapter> {
    const version = this.#require(number);
    this.#checkPackage(version);
    if (version.weights === 'removed') throw weightsRemoved(number);
    const directory = this.adapterPath(number);
    if (directory === null) return this.#zeroLike(this.#file.history.weightsOf(number));
    const { adapter, digest } = await readAdapterFiles(directory);
    if (digest !== version.adapterDigest) {
      throw new HoneError(
        'ADAPTER_INVALID',
        `the adapter in ${directory} has digest ${digest}, version ${number} was recorded with ${version.adapterDigest}`,
      );
    }
    checkSameLayers(adapter, this.#zeroAdapter);
    return adapter;
  }

  /**
   * Takes a candidate's files over as the next version, in state `candidate`; on disk when it resolves. The candidate's
   * directory is moved away. When it rejects, nothing has changed.
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `VERSION_NOT_FOUND` (parent), `STORE_FULL`
   */
  adopt(candidate: Candidate): Promise<Version> {
    return this.#queue.run(async () => {
      await checkCandidate(candidate, this.#packageDigest, this.#zeroAdapter);
      if (candidate.parent !== null) this.#require(candidate.parent);
      const version = this.#next({ origin: 'learned', ...candidate, state: 'candidate' });
      const target = this.#directoryOf(version.number);
      await rm(target, { recursive: true, force: true });
      await moveDirectoryDurably(candidate.directory, target);
      try {
        await this.#file.append({ type: 'version', version });
      } catch (error) {
        await rename(target, candidate.directory).catch(() => undefined);
        throw error;
      }
      return version;
    });
  }

  /**
   * The files of a version's adapter, made of weights that were checked: of a base the zero adapter, of a rollback the
   * weights that it serves again.
   * @param baseModel name of the package, for PEFT's `base_model_name_or_path`
   * @throws HoneError as {@link VersionLog.readAdapter}
   */
  async export(number: number, baseModel: string): Promise<AdapterFiles> {
    const adapter = await this.readAdapter(number);
    const { packageDigest, parent, createdAtMs, metrics, origin } = this.#require(number);
    return encodeAdapter(adapter, { packageDigest, baseModel, parent, createdAtMs, metrics }, { number, origin });
  }

  /** Bytes of the largest adapter, all files together, that {@link VersionLog.import} can take. */
  get maxImportBytes(): number {
    return maxImportBytes(adapterTargets(this.#zeroAdapter));
  }

  /**
   * Makes an adapter from elsewhere the next version, in state `candidate`, without a parent; on disk when it resolves.
   * When it rejects, nothing has changed.
   * @param maxRank rank of the learner, which cannot go on from a larger one. Default: no learner has to
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`
   */
  import(files: AdapterFiles, maxRank = Number.POSITIVE_INFINITY): Promise<Version> {
    return this.#queue.run(async () => {
      const layers = adapterTargets(this.#zeroAdapter);
      const packageDigest = this.#packageDigest;
      const { adapter, baseModel, metrics } = readImported(files, { packageDigest, layers, maxRank });
      const adapterDigest = digestAdapter(adapter);
      const version = this.#next({ adapterDigest, state: 'candidate', parent: null, origin: 'imported', metrics });
      const target = adapterDirectory(this.#directory, version.number);
      await rm(target, { recursive: true, force: true });
      try {
        const { createdAtMs } = version;
        await writeAdapter(target, adapter, { packageDigest, baseModel, parent: null, createdAtMs, metrics });
        await this.#file.append({ type: 'version', version });
      } catch (thrown) {
        await rm(target, { recursive: true, force: true });
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
        throw new HoneError('STORE_FULL', `the disk has no room for the adapter: ${String(thrown)}`, { cause: thrown });
      }
      return this.#require(version.number);
    });
  }

  /** Makes a candidate the head; on disk when it resolves. @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` */
  promote(number: number): Promise<Version> {
    return this.#queue.run(async () => {
      this.#checkPackage(this.#require(number));
      await this.#file.append({ type: 'promoted', number });
      this.#makeRoomAfter();
      return this.#require(number);
    });
  }

  /**
   * Keeps what the gate found of a candidate; on disk when it resolves. Figures that are not finite are left out.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` where it is no candidate
   */
  judge(number: number, verdict: readonly VersionCheck[]): Promise<Version> {
    const checks = verdict.map((check) => ({ ...check, numbers: finiteMetrics(check.numbers) }));
    return this.#change({ type: 'judged', number, verdict: checks });
  }

  /** Puts a candidate on trial; on disk when it resolves. @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` */
  startTrial(number: number, state: TrialState): Promise<Version> {
    return this.#change({ type: 'trial', number, state });
  }

  /** Ends a trial undecided; on disk when it resolves. @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` */
  setAside(number: number): Promise<Version> {
    return this.#change({ type: 'set_aside', number });
  }

  /**
   * Turns a version that has never been live down; on disk, with the reason, when it resolves.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  reject(number: number, reason: string): Promise<Version> {
    return this.#change({ type: 'rejected', number, reason });
  }

  #change(entry: Exclude<LogEntry, { readonly type: 'version' }>): Promise<Version> {
    return this.#queue.run(async () => {
      await this.#file.append(entry);
      if (entry.type === 'rejected') this.#makeRoomAfter();
      return this.#require(entry.number);
    });
  }

  /**
   * A new candidate with the weights of a version that served before; promoting it completes the rollback. On disk when
   * it resolves.
   * @returns the new version, `parent` being `toNumber`
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `ADAPTER_INVALID` when the old files are damaged
   */
  rollback(toNumber: number): Promise<Version> {
    return this.#queue.run(async () => {
      const target = this.#require(toNumber);
      this.#checkPackage(target);
      if (target.state !== 'retired') {
        throw new HoneError(
          'VERSION_NOT_SERVABLE',
          `version ${toNumber} is ${target.state}; one can roll back to a version that served before`,
        );
      }
      await this.readAdapter(toNumber);
      return this.#appendRollback(target);
    });
  }

  /**
   * Removes the adapters of these versions, however new; those that something needs stay. Done when it resolves.
   * @returns the versions whose adapters were removed
   */
  removeWeights(numbers: readonly number[]): Promise<readonly number[]> {
    return this.#queue.run(async () => {
      const unwanted = unneeded(this.#file.history, numbers);
      const removal = await removeAdapters(this.#file, this.#directory, unwanted);
      if (removal.numbers.length > 0) this.#onRemoved(removal);
      return removal.numbers;
    });
  }

  /** Waits for the change in flight and closes the log. */
  close(): Promise<void> {
    this.#closing ??= this.#queue.close().then(() => this.#file.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Brings the head in line with the package and with the files that are really there; part of opening. */
  async settle(): Promise<void> {
    const { history } = this.#file;
    const served = history.heads.map((number) => history.get(number)).reverse();
    const ours = served.filter(
      ({ packageDigest, weights }) => packageDigest === this.#packageDigest && weights === 'kept',
    );
    for (const version of ours) {
      try {
        await this.readAdapter(version.number);
      } catch (thrown) {
        this.#warnings.push(HoneError.from(thrown));
        continue;
      }
      if (version.number !== history.head?.number) {
        const { number } = await this.#appendRollback(version);
        await this.#file.append({ type: 'promoted', number });
      }
      return;
    }
    const version = this.#next({
      adapterDigest: digestAdapter(this.#zeroAdapter),
      state: 'live',
      parent: null,
      origin: 'base',
      metrics: { rank: this.#zeroAdapter.rank, scale: this.#zeroAdapter.scale },
    });
    await this.#file.append({ type: 'version', version });
  }

  /** Removes the adapters of old versions; part of opening. What fails is tried again at the next change. */
  async makeRoom(): Promise<void> {
    try {
      const unwanted = removable(this.#file.history, this.#keepVersions);
      const removal = await removeAdapters(this.#file, this.#directory, unwanted);
      if (removal.numbers.length > 0) this.#onRemoved(removal);
    } catch {
      // A disk without room for the entry: nothing is deleted that the log does not call removed.
    }
  }

  /** After the change in flight, which nobody lets wait for it. */
  #makeRoomAfter(): void {
    if (!this.#queue.isClosed) void this.#queue.run(() => this.makeRoom());
  }

  /** The zero adapter as a base version was recorded: at the rank and scale of that day, which its digest covers. */
  #zeroLike(base: Version): Adapter {
    const { rank = this.#zeroAdapter.rank, scale = this.#zeroAdapter.scale } = base.metrics;
    return zeroAdapter(adapterTargets(this.#zeroAdapter), rank, scale);
  }

  async #appendRollback(target: Version): Promise<Version> {
    const version = this.#next({
      adapterDigest: target.adapterDigest,
      state: 'candidate',
      parent: target.number,
      origin: 'rollback',
      metrics: {},
    });
    await this.#file.append({ type: 'version', version });
    return version;
  }

  #next(fields: Pick<Version, 'adapterDigest' | 'state' | 'parent' | 'origin' | 'metrics'>): Version {
    return {
      lineage: this.#packageDigest.slice(0, 12),
      number: this.#file.history.nextNumber,
      adapterDigest: fields.adapterDigest,
      packageDigest: this.#packageDigest,
      state: fields.state,
      createdAtMs: this.#now(),
      parent: fields.parent,
      origin: fields.origin,
      metrics: finiteMetrics(fields.metrics),
      verdict: [],
      rejectedBecause: null,
      weights: 'kept',
    };
  }

  #require(number: number): Version {
    return this.#file.history.get(number);
  }

  #checkPackage(version: Version): void {
    if (version.packageDigest === this.#packageDigest) return;
    throw new HoneError(
      'ADAPTER_MISMATCH',
      `version ${version.number} belongs to package ${version.packageDigest}; start the server with that package to use it`,
    );
  }

  #directoryOf(number: number): string {
    return adapterDirectory(this.#directory, number);
  }
}
