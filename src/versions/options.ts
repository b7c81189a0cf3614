/** Options of `openVersionLog`. */

import type { HoneError } from '../errors.js';
import type { KnownNumber } from './log-file.js';
import type { Removal } from './removal.js';
import type { Adapter } from './types.js';

export interface VersionLogOptions {
  /** Holds `log.jsonl` and one directory per adapter. It is created (0700) if it is missing. */
  readonly directory: string;
  /** A file outside the directory that keeps a copy of the log. Default: there is no copy. */
  readonly copyPath?: string;
  /** Versions that other files of the data directory name: a log that does not know them has lost lines. */
  readonly known?: readonly KnownNumber[];
  /** Whether a person goes on without lines of the log that are lost. Default false. */
  readonly acceptLoss?: boolean;
  /** Called while the log opens, with each thing that was rebuilt, moved aside or found missing, and the remedy. */
  readonly onRebuilt?: (what: string) => void;
  /** Digest of the package that serves. If it is not the live version's, that package's lineage begins or continues. */
  readonly packageDigest: string;
  /** The package's zero adapter: the weights of base versions, and the shapes that every adapter must have. */
  readonly zeroAdapter: Adapter;
  /** Number of retired versions, and of rejected ones, that keep their adapters (see `retention.ts`). Default 64. */
  readonly keepVersions?: number;
  /** Called after adapters were removed to make room. */
  readonly onRemoved?: (removal: Removal) => void;
  /** Called when old adapters cannot be removed; repeated only if the reason changes or it succeeded in between. */
  readonly onRemovalFailed?: (error: HoneError) => void;
  /** Milliseconds since 1970; for tests. Default `Date.now`. */
  readonly now?: () => number;
}
