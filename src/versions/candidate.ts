/** Checks a candidate: an adapter that is to become a version. */

import { HoneError } from '../errors.js';
import { checkSameLayers } from './adapter.js';
import { readAdapter } from './adapter-files.js';
import type { Adapter } from './types.js';

/** A trained or imported adapter that is to become a version. */
export interface Candidate {
  /** Directory of its files; it is moved away when the candidate is adopted. */
  readonly directory: string;
  /** The digest that its maker announces; it must match the files. */
  readonly adapterDigest: string;
  /** The version it was trained from. */
  readonly parent: number | null;
  readonly metrics: Readonly<Record<string, number>>;
  /** Ids of the generations it learned from; only their number is recorded. */
  readonly lessons?: readonly string[];
  /** Default `learned`. */
  readonly origin?: 'learned' | 'imported';
}

/**
 * Reads a candidate's files and compares them with the announced digest and with the package.
 * @param packageDigest of the package that serves
 * @param zeroAdapter has the shapes that every adapter of the package must have
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
      `the candidate in ${directory} has digest ${digest}, but its maker announced ${adapterDigest}`,
    );
  }
  if (meta.packageDigest !== packageDigest) {
    throw new HoneError(
      'ADAPTER_MISMATCH',
      `the candidate was trained on package ${meta.packageDigest}, but this server has ${packageDigest}`,
    );
  }
  checkSameLayers(adapter, zeroAdapter);
}
