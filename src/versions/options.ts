/** What a log of versions is opened with. */

import type { Removal } from './retention.js';
import type { Adapter } from './types.js';

export interface VersionLogOptions {
  /** Holds `log.jsonl` and one directory per adapter; made (0700) when missing. */
  readonly directory: string;
  /** Digest of the package that serves. Another one than the head's opens, or goes back to, that package's lineage. */
  readonly packageDigest: string;
  /** The package's zero adapter: the weights of base versions, and the shapes that every adapter must have. */
  readonly zeroAdapter: Adapter;
  /** Retired, and rejected, versions that keep their adapters; see `retention.ts`. Default 64. */
  readonly keepVersions?: number;
  /** Told of adapters that were removed to make room. */
  readonly onRemoved?: (removal: Removal) => void;
  /** Milliseconds since 1970; for tests. Default `Date.now`. */
  readonly now?: () => number;
}
