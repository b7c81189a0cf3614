/** What leaves the store and comes into it: erasure, export, import. */

import type { HoneClientError } from '../errors.js';
import type { Version } from './versions.js';

/** What was erased, and what became of the versions. */
export interface ErasureResult {
  readonly generations: number;
  readonly scores: number;
  readonly preferences: number;
  readonly prompts: number;
  /** False where another program kept on reading an old state of the store: its log is cleared later. */
  readonly logCleared: boolean;
  /** Versions that learned from the data, or descend from such. */
  readonly versions: readonly number[];
  /** With `retrain`: the version that serves now; absent if the live version had not learned from erased data. */
  readonly live?: Version;
  /** With `retrain`: versions whose adapters were removed. */
  readonly removedWeights: readonly number[];
}

/** Which generations to export, with what hangs on them. */
export interface ExportFilter {
  /** Only those of this subject. */
  readonly subject?: string | undefined;
  /** Only those that were generated then or later, milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  /** Only those with a score. */
  readonly scored?: boolean | undefined;
}

/** A piece of an export. */
export interface ExportPiece {
  /** Bytes of a file of JSON lines. */
  readonly lines: Uint8Array;
  /** Records so far. */
  readonly records: number;
}

/** What became of the records of an import. */
export interface ImportResult {
  readonly imported: number;
  /** There already, with the same content. */
  readonly skipped: number;
  readonly refused: number;
  /** The first 100 of these. */
  readonly refusals: readonly { readonly line: number; readonly error: HoneClientError }[];
}
