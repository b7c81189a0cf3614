/** Results of erasure, export and import. */

import type { HoneClientError } from '../errors.js';
import type { Version } from './versions.js';

/** The result of an erasure. */
export interface ErasureResult {
  readonly generations: number;
  readonly scores: number;
  readonly preferences: number;
  readonly prompts: number;
  /** False if another program was still reading an old state of the store; then the log is cleared later. */
  readonly logCleared: boolean;
  /** Versions that learned from the data or descend from one that did. */
  readonly versions: readonly number[];
  /** With `retrain`: the version that serves now; absent if the live version had not learned from erased data. */
  readonly live?: Version;
  /** With `retrain`: versions whose adapters were removed. */
  readonly removedWeights: readonly number[];
}

/** Which generations to export, with their feedback. */
export interface ExportFilter {
  /** Only those of this subject. */
  readonly subject?: string | undefined;
  /** Only those that were admitted at this time or later, milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  /** Only those with a score. */
  readonly scored?: boolean | undefined;
}

/** A piece of an export. */
export interface ExportPiece {
  /** The next bytes of a file of JSON lines. */
  readonly lines: Uint8Array;
  /** Number of records so far. */
  readonly records: number;
}

/** The result of an import. */
export interface ImportResult {
  readonly imported: number;
  /** Records that were stored before with the same content. */
  readonly skipped: number;
  readonly refused: number;
  /** The reasons for the first 100 refused records. */
  readonly refusals: readonly { readonly line: number; readonly error: HoneClientError }[];
}
