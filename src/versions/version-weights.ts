/** Finds, reads and exports the weights of versions, and checks them against the log and the package. */

import { HoneError } from '../errors.js';
import { adapterTargets, checkSameLayers, zeroAdapter } from './adapter.js';
import { type AdapterFiles, encodeAdapter, readAdapter } from './adapter-files.js';
import type { OpenLog } from './open-log.js';
import { adapterDirectory } from './removal.js';
import type { Adapter, Version } from './types.js';

export class VersionWeights {
  readonly #log: OpenLog;

  constructor(log: OpenLog) {
    this.#log = log;
  }

  /** Directory of a version's adapter, or null for the zero adapter. @throws HoneError `VERSION_NOT_FOUND` */
  path(number: number): string | null {
    const { file, directory } = this.#log;
    const source = file.history.weightsOf(number);
    return source.origin === 'base' ? null : adapterDirectory(directory, source.number);
  }

  /**
   * Reads a version's weights and checks them against the digest in the log and the layers of the package.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (its adapter was removed), `ADAPTER_INVALID` (its files
   * are damaged), `ADAPTER_MISMATCH` (it belongs to another package)
   */
  async read(number: number): Promise<Adapter> {
    const { file } = this.#log;
    const version = file.history.get(number);
    this.checkPackage(version);
    if (version.weights === 'removed') throw weightsRemoved(number);
    const directory = this.path(number);
    if (directory === null) return this.#zeroLike(file.history.weightsOf(number));
    const { adapter, digest } = await readAdapter(directory);
    if (digest !== version.adapterDigest) {
      throw new HoneError(
        'ADAPTER_INVALID',
        `the adapter in ${directory} has digest ${digest}, but the log records ${version.adapterDigest} for version ${number}`,
      );
    }
    checkSameLayers(adapter, this.#log.zeroAdapter);
    return adapter;
  }

  /**
   * Makes the adapter files of a version from its checked weights. A base version exports the zero adapter, a rollback the
   * weights that it serves again.
   * @param baseModel name of the package, for PEFT's `base_model_name_or_path`
   * @throws HoneError as {@link VersionWeights.read}
   */
  async export(number: number, baseModel: string): Promise<AdapterFiles> {
    const adapter = await this.read(number);
    const { packageDigest, parent, createdAtMs, metrics, origin } = this.#log.file.history.get(number);
    return encodeAdapter(adapter, { packageDigest, baseModel, parent, createdAtMs, metrics }, { number, origin });
  }

  /** @throws HoneError `ADAPTER_MISMATCH` if the version belongs to another package than the one that serves */
  checkPackage(version: Version): void {
    if (version.packageDigest === this.#log.packageDigest) return;
    throw new HoneError(
      'ADAPTER_MISMATCH',
      `version ${version.number} belongs to package ${version.packageDigest}; start the server with that package to use it`,
    );
  }

  /** The zero adapter at the rank and scale with which a base version was recorded, because its digest covers them. */
  #zeroLike(base: Version): Adapter {
    const { zeroAdapter: current } = this.#log;
    const { rank = current.rank, scale = current.scale } = base.metrics;
    return zeroAdapter(adapterTargets(current), rank, scale);
  }
}

function weightsRemoved(number: number): HoneError {
  return new HoneError(
    'VERSION_NOT_SERVABLE',
    `version ${number} cannot serve again: its adapter was removed to make room (--keep-versions); ` +
      'roll back to a version whose adapter is kept, or import the adapter if you exported it before',
  );
}
