/** Candidates: adapters that ask to become a version, and what they must be. */

import { HoneError } from '../errors.js';
import { checkSameLayers } from './adapter.js';
import { readAdapter } from './adapter-files.js';
import type { Adapter } from './types.js';

/** A trained or imported adapter that asks to become a version. */
export interface Candidate {
  /** Its files; moved away when it is adopted. */
  readonly directory: string;
  /** What its maker says the digest is; compared with the files. */
  readonly adapterDigest: string;
  /** The version it was trained from. */
  readonly parent: number | null;
  readonly metrics: Readonly<Record<string, number>>;
  /** Default `learned`. */
  readonly origin?: 'learned' | 'imported';
}

/**
 * Reads a candidate's files and compares them with what was announced and with the package.
 * @param packageDigest of the package that serves
 * @param zeroAdapter the shapes that every adapter of it must have
 * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
 */
export async function checkCandidate(
  { directory, adapterDigest }: Candidate,
  packageDigest: string,
  zeroAdapter: Adapter,
): Promise<void> {
  const { adapter, digest, meta } = await readAdapter(directory);
  if (digest !== adapterDigest) {
    throw new HoneError(
      'ADAPTER_INVALID',
      `the candidate in ${directory} has digest ${digest}, announced was ${adapterDigest}`,
    );
  }
  if (meta.packageDigest !== packageDigest) {
    throw new HoneError(
      'ADAPTER_MISMATCH',
      `the candidate was trained on package ${meta.packageDigest}, this server has ${packageDigest}`,
    );
  }
  checkSameLayers(adapter, zeroAdapter);
}
