/**
 * The versions of a data directory: which exist, which one is live, and their weights.
 *
 * Every change is one line of `log.jsonl` and takes effect once the line is on disk. An adapter's files are in place
 * before the line that names them. A crash between the two leaves a directory without a line, which opening moves aside.
 * Numbers only grow, also through rollbacks and changes of the package, and no adapter is ever written over.
 */

import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import { SerialQueue } from '../process/serial-queue.js';
import { adapterTargets } from './adapter.js';
import { type AdapterFiles, finiteMetrics } from './adapter-files.js';
import { findFolders, knownFromFolders, makeWay, moveLeftoversAside, reportMissing } from './adapter-folders.js';
import { type Candidate, checkCandidate } from './candidate.js';
import { moveDirectoryDurably } from './durable-files.js';
import { ensureLiveVersion } from './ensure-live.js';
import type { LogEntry } from './history.js';
import { importVersion } from './import-version.js';
import { maxImportBytes } from './imported.js';
import { VersionLogFile } from './log-file.js';
import { appendRollback, nextVersion, type OpenLog } from './open-log.js';
import type { VersionLogOptions } from './options.js';
import { adapterDirectory, finishRemovals, removeAdapters } from './removal.js';
import { defaultKeepVersions, removable, unneeded } from './retention.js';
import type { Adapter, TrialState, Version, VersionCheck } from './types.js';
import { VersionWeights } from './version-weights.js';

/**
 * Opens or creates the log. If the files of the live version are damaged, the last version with undamaged files becomes
 * live, and {@link VersionLog.warnings} reports it.
 * @throws HoneError as {@link VersionLogFile.open}
 */
export async function openVersionLog(options: VersionLogOptions): Promise<VersionLog> {
  const { directory, copyPath, packageDigest, zeroAdapter, now = Date.now } = options;
  const { known = [], acceptLoss = false, onRebuilt = () => undefined } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const folders = await findFolders(directory);
  const path = join(directory, 'log.jsonl');
  const file = await VersionLogFile.open({
    path,
    copyPath,
    known: [...known, ...knownFromFolders(directory, folders)],
    above: folders.at(-1) ?? -1,
    acceptLoss,
    onRebuilt,
  });
  try {
    const open = { file, directory, packageDigest, zeroAdapter, now };
    await moveLeftoversAside(file.history, directory, folders, onRebuilt);
    await finishRemovals(file.history, directory);
    reportMissing(file.history, directory, folders, onRebuilt);
    const log = new VersionLog(open, options, await ensureLiveVersion(open, new VersionWeights(open)));
    await log.makeRoom();
    return log;
  } catch (error) {
    await file.close();
    throw error;
  }
}

export class VersionLog {
  /** Problems that opening worked around: an error for each version that it passed over because its files are damaged. */
  readonly warnings: readonly HoneError[];
  readonly #log: OpenLog;
  readonly #weights: VersionWeights;
  readonly #keepVersions: number;
  readonly #onRemoved: NonNullable<VersionLogOptions['onRemoved']>;
  readonly #onRemovalFailed: NonNullable<VersionLogOptions['onRemovalFailed']>;
  /** Message of the failure to make room that was reported last. */
  #removalFailure = '';
  readonly #queue = new SerialQueue('the version log is closed');
  #closing: Promise<void> | undefined;

  /** Use {@link openVersionLog}. */
  constructor(
    log: OpenLog,
    {
      keepVersions = defaultKeepVersions,
      onRemoved = () => undefined,
      onRemovalFailed = () => undefined,
    }: Pick<VersionLogOptions, 'keepVersions' | 'onRemoved' | 'onRemovalFailed'>,
    warnings: readonly HoneError[],
  ) {
    this.#log = log;
    this.#weights = new VersionWeights(log);
    this.#keepVersions = keepVersions;
    this.#onRemoved = onRemoved;
    this.#onRemovalFailed = onRemovalFailed;
    this.warnings = warnings;
  }

  /** All versions by number, oldest first. */
  list(): readonly Version[] {
    return this.#log.file.history.versions;
  }

  /** Number of the next version; all that were given are below it. */
  get nextNumber(): number {
    return this.#log.file.history.nextNumber;
  }

  /** The version that serves. */
  live(): Version {
    const { live } = this.#log.file.history;
    if (live === undefined) throw new HoneError('INTERNAL', 'the version log has no live version yet');
    return live;
  }

  /** The version of that number, if there is one. */
  get(number: number): Version | undefined {
    return this.#log.file.history.find(number);
  }

  /** Directory of a version's adapter, or null for the zero adapter. @throws HoneError `VERSION_NOT_FOUND` */
  adapterPath(number: number): string | null {
    return this.#weights.path(number);
  }

  /**
   * Reads a version's weights and checks them against the digest in the log and the layers of the package.
   * @throws HoneError as {@link VersionWeights.read}
   */
  readAdapter(number: number): Promise<Adapter> {
    return this.#weights.read(number);
  }

  /**
   * Makes the adapter files of a version from its checked weights.
   * @param baseModel name of the package, for PEFT's `base_model_name_or_path`
   * @throws HoneError as {@link VersionWeights.read}
   */
  export(number: number, baseModel: string): Promise<AdapterFiles> {
    return this.#weights.export(number, baseModel);
  }

  /** Bytes of the largest adapter, all files together, that {@link VersionLog.import} can take. */
  get maxImportBytes(): number {
    return maxImportBytes(adapterTargets(this.#log.zeroAdapter));
  }

  /**
   * Makes an adapter from elsewhere the next version, in state `candidate` and without a parent; on disk when it
   * resolves. If it rejects, nothing has changed.
   * @param maxRank rank of the learner, which cannot continue from a larger one. Default: no learner has to
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`
   */
  import(files: AdapterFiles, maxRank = Number.POSITIVE_INFINITY): Promise<Version> {
    return this.#queue.run(() => importVersion(this.#log, files, maxRank));
  }

  /**
   * Makes a candidate's files the next version, in state `candidate`; on disk when it resolves. The candidate's directory
   * is moved away. If it rejects, nothing has changed.
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `VERSION_NOT_FOUND` (parent), `STORE_FULL`
   */
  adopt(candidate: Candidate): Promise<Version> {
    return this.#queue.run(async () => {
      const { file, directory, packageDigest, zeroAdapter } = this.#log;
      await checkCandidate(candidate, packageDigest, zeroAdapter);
      if (candidate.parent !== null) this.#require(candidate.parent);
      const version = nextVersion(this.#log, { origin: 'learned', ...candidate, state: 'candidate' });
      const target = adapterDirectory(directory, version.number);
      await makeWay(target);
      await moveDirectoryDurably(candidate.directory, target);
      try {
        await file.append({ type: 'version', version });
      } catch (error) {
        await rename(target, candidate.directory).catch(() => undefined);
        throw error;
      }
      return version;
    });
  }

  /** Makes a candidate live; on disk when it resolves. @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` */
  promote(number: number): Promise<Version> {
    return this.#queue.run(async () => {
      this.#weights.checkPackage(this.#require(number));
      await this.#log.file.append({ type: 'promoted', number });
      this.#makeRoomLater();
      return this.#require(number);
    });
  }

  /**
   * Records the gate's verdict on a candidate; on disk when it resolves. Figures that are not finite are left out.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` if it is no candidate
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
   * Rejects a version that has never been live; on disk, with the reason, when it resolves.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  reject(number: number, reason: string): Promise<Version> {
    return this.#change({ type: 'rejected', number, reason });
  }

  /**
   * Makes a candidate with the weights of a version that served before; promoting it completes the rollback. On disk when
   * it resolves.
   * @returns the new version, whose `parent` is `toNumber`
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `ADAPTER_INVALID` if the old files are damaged
   */
  rollback(toNumber: number): Promise<Version> {
    return this.#queue.run(async () => {
      const target = this.#require(toNumber);
      this.#weights.checkPackage(target);
      if (target.state !== 'retired') {
        throw new HoneError(
          'VERSION_NOT_SERVABLE',
          `version ${toNumber} is ${target.state}; a rollback goes to a version that served before`,
        );
      }
      await this.#weights.read(toNumber);
      return appendRollback(this.#log, target);
    });
  }

  /**
   * Removes the adapters of these versions, even new ones, but keeps adapters that a version needs. They are deleted when
   * it resolves.
   * @returns the versions whose adapters were removed
   */
  removeWeights(numbers: readonly number[]): Promise<readonly number[]> {
    return this.#queue.run(() => this.#remove(unneeded(this.#log.file.history, numbers)));
  }

  /**
   * Removes the adapters of old versions. If it fails, that is reported, and the next change tries again. No file is deleted
   * before the log calls its adapter removed.
   */
  async makeRoom(): Promise<void> {
    try {
      await this.#remove(removable(this.#log.file.history, this.#keepVersions));
      this.#removalFailure = '';
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.message === this.#removalFailure) return;
      this.#removalFailure = error.message;
      this.#onRemovalFailed(error);
    }
  }

  /** Waits for the changes in flight and closes the log. */
  close(): Promise<void> {
    this.#closing ??= this.#queue.close().then(() => this.#log.file.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #change(entry: Exclude<LogEntry, { readonly type: 'version' | 'lost' }>): Promise<Version> {
    return this.#queue.run(async () => {
      await this.#log.file.append(entry);
      if (entry.type === 'rejected') this.#makeRoomLater();
      return this.#require(entry.number);
    });
  }

  async #remove(numbers: readonly number[]): Promise<readonly number[]> {
    const removal = await removeAdapters(this.#log.file, this.#log.directory, numbers);
    if (removal.numbers.length > 0) this.#onRemoved(removal);
    return removal.numbers;
  }

  /** Makes room after the change in flight, so that its caller does not wait for it. */
  #makeRoomLater(): void {
    if (!this.#queue.isClosed) void this.#queue.run(() => this.makeRoom());
  }

  #require(number: number): Version {
    return this.#log.file.history.get(number);
  }
}
