/**
 * What the store and its worker say to each other: plain structured-clone values, one answer to each request; requests
 * and answers travel in arrays.
 */

import type { SerializedError } from '../errors.js';
import type { ErasureReport } from './erasure.js';
import type { ExportPage, ExportQuery } from './exporter.js';
import type { ImportOutcome } from './importer.js';
import type { ReplayRecord } from './record.js';
import type { EvictionReport, RetentionSettings } from './retention.js';
import type {
  FeedbackOutcome,
  FeedbackWrite,
  Generation,
  GenerationAdmission,
  GenerationCompletion,
  Lesson,
  Preference,
  ReplayStatus,
  Score,
  StoredPrompt,
} from './types.js';

/** What the worker is started with. */
export interface WorkerSettings extends RetentionSettings {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly maxFileBytes: number | null;
  readonly maxItemsPerCommit: number;
  readonly nowMs: number;
  readonly clearForMs: number;
}

/** Each operation: what goes in, what comes out. Every payload is an array, so that its length is its share of the queue. */
export interface Operations {
  readonly admit: { readonly in: readonly GenerationAdmission[]; readonly out: null };
  readonly complete: { readonly in: readonly GenerationCompletion[]; readonly out: null };
  readonly write: { readonly in: readonly FeedbackWrite[]; readonly out: FeedbackOutcome[] };
  readonly recordLessons: { readonly in: readonly Lesson[]; readonly out: null };
  readonly readGenerations: { readonly in: readonly string[]; readonly out: Generation[] };
  readonly readScores: { readonly in: readonly string[]; readonly out: Score[] };
  readonly readPreferences: { readonly in: readonly string[]; readonly out: Preference[] };
  readonly readLessons: { readonly in: readonly string[]; readonly out: Lesson[] };
  readonly readEdits: { readonly in: readonly string[]; readonly out: string[] };
  /** One number: how many. */
  readonly recentPrompts: { readonly in: readonly [number]; readonly out: StoredPrompt[] };
  readonly status: { readonly in: readonly []; readonly out: ReplayStatus };
  readonly exportPage: { readonly in: readonly [ExportQuery]; readonly out: ExportPage };
  readonly importRecords: { readonly in: readonly ReplayRecord[]; readonly out: ImportOutcome[] };
  /** One subject; it takes many transactions, and others go on between them. */
  readonly erase: { readonly in: readonly [string]; readonly out: ErasureReport };
}

export type OperationName = keyof Operations;

export type WorkerRequest =
  | {
      [Name in OperationName]: { readonly id: number; readonly type: Name; readonly items: Operations[Name]['in'] };
    }[OperationName]
  | { readonly id: number; readonly type: 'close' };

export type WorkerReply =
  | {
      readonly type: 'opened';
      readonly abortedGenerations: number;
      /** Erasures that a crash had cut off, completed now. */
      readonly erasures: readonly ErasureReport[];
    }
  | { readonly type: 'evicted'; readonly report: EvictionReport }
  | { readonly type: 'refused'; readonly error: SerializedError }
  | { readonly type: 'done'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly error: SerializedError };
