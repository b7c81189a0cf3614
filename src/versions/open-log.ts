/** An open version log, as its parts share it, and the new versions that they append. */

import { finiteMetrics } from './adapter-files.js';
import type { VersionLogFile } from './log-file.js';
import type { Adapter, Version } from './types.js';

export interface OpenLog {
  readonly file: VersionLogFile;
  /** Holds the log and one directory per adapter. */
  readonly directory: string;
  /** Digest of the package that serves. */
  readonly packageDigest: string;
  readonly zeroAdapter: Adapter;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The fields of a new version that do not follow from the log. */
export type NewVersion = Pick<Version, 'adapterDigest' | 'state' | 'parent' | 'origin' | 'metrics'> & {
  readonly lessons?: readonly string[];
};

/** Returns the version with the next free number; it exists once the log has an entry for it. */
export function nextVersion({ file, packageDigest, now }: OpenLog, fields: NewVersion): Version {
  return {
    lineage: packageDigest.slice(0, 12),
    number: file.history.nextNumber,
    adapterDigest: fields.adapterDigest,
    packageDigest,
    state: fields.state,
    createdAtMs: now(),
    parent: fields.parent,
    origin: fields.origin,
    metrics: finiteMetrics(fields.metrics),
    ...(fields.lessons === undefined ? {} : { lessons: fields.lessons.length }),
    verdict: [],
    rejectedBecause: null,
    weights: 'kept',
  };
}

/** Appends a candidate with the weights of an older version; on disk when it resolves. */
export async function appendRollback(log: OpenLog, target: Version): Promise<Version> {
  const version = nextVersion(log, {
    adapterDigest: target.adapterDigest,
    state: 'candidate',
    parent: target.number,
    origin: 'rollback',
    metrics: {},
  });
  await log.file.append({ type: 'version', version });
  return version;
}
