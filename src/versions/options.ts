/** Options of `openVersionLog`. */

import type { Removal } from './removal.js';
import type { Adapter } from './types.js';

export interface VersionLogOptions {
  /** Holds `log.jsonl` and one directory per adapter. It is created (0700) if it is missing. */
  readonly directory: string;
  /** Digest of the package that serves. If it is not the live version's, that package's lineage begins or continues. */
  readonly packageDigest: string;
  /** The package's zero adapter: the weights of base versions, and the shapes that every adapter must have. */
  readonly zeroAdapter: Adapter;
  /** Number of retired versions, and of rejected ones, that keep their adapters (see `retention.ts`). Default 64. */
  readonly keepVersions?: number;
  /** Called after adapters were removed to make room. */
  readonly onRemoved?: (removal: Removal) => void;
  /** Milliseconds since 1970; for tests. Default `Date.now`. */
  readonly now?: () => number;
}
