/**
 * The messages between the store and its worker: plain structured-clone values, one reply to each request. Requests and
 * replies travel in arrays.
 */

import type { SerializedError } from '../errors.js';
import type { ErasureNote, ErasureReport } from './erasure.js';
import type { ExportPage, ExportQuery } from './exporter.js';
import type { ImportOutcome } from './importer.js';
import type { LogHeld } from './log-bound.js';
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
  ScoreBounds,
  ScoreExtremes,
  StoredPrompt,
} from './types.js';

/** The worker's `workerData`. */
export interface WorkerSettings extends RetentionSettings {
  readonly path: string;
  /** How long a request waits for another program's lock, milliseconds. */
  readonly busyTimeoutMs: number;
  readonly onFullDisk: 'read' | 'refuse';
  readonly maxLogBytes: number;
  readonly logHeldAfterMs: number;
  readonly maxFileBytes: number | null;
  readonly nowMs: number;
  readonly clearForMs: number;
}

/** Input and result of each operation. Every input is an array, because its length is its share of the queue. */
export interface Operations {
  readonly admit: { readonly in: readonly GenerationAdmission[]; readonly out: null };
  readonly complete: { readonly in: readonly GenerationCompletion[]; readonly out: null };
  readonly write: { readonly in: readonly FeedbackWrite[]; readonly out: FeedbackOutcome[] };
  readonly recordLessons: { readonly in: readonly Lesson[]; readonly out: null };
  readonly readGenerations: { readonly in: readonly string[]; readonly out: Generation[] };
  readonly readScores: { readonly in: readonly string[]; readonly out: Score[] };
  readonly readPreferences: { readonly in: readonly string[]; readonly out: Preference[] };
  readonly readLessons: { readonly in: readonly string[]; readonly out: Lesson[] };
  readonly versionsWithLessons: { readonly in: readonly []; readonly out: number[] };
  readonly readEdits: { readonly in: readonly string[]; readonly out: string[] };
  readonly scoreExtremes: { readonly in: readonly []; readonly out: ScoreExtremes[] };
  readonly countOutside: { readonly in: readonly ScoreBounds[]; readonly out: number[] };
  /** The number of prompts. */
  readonly recentPrompts: { readonly in: readonly [number]; readonly out: StoredPrompt[] };
  readonly status: { readonly in: readonly []; readonly out: ReplayStatus };
  readonly exportPage: { readonly in: readonly [ExportQuery]; readonly out: ExportPage };
  /** The export. */
  readonly endExport: { readonly in: readonly [number]; readonly out: null };
  readonly importRecords: { readonly in: readonly ReplayRecord[]; readonly out: ImportOutcome[] };
  readonly unsettledErasures: { readonly in: readonly []; readonly out: ErasureReport[] };
  readonly noteErasure: { readonly in: readonly [ErasureNote]; readonly out: null };
  /**
   * The subject, and whether what was learned from its data is to be taken back. An erasure takes many transactions, and
   * other operations run between them.
   */
  readonly erase: { readonly in: readonly [string, boolean]; readonly out: ErasureReport };
}

export type OperationName = keyof Operations;

export type WorkerRequest =
  | {
      [Name in OperationName]: { readonly id: number; readonly type: Name; readonly items: Operations[Name]['in'] };
    }[OperationName]
  | { readonly id: number; readonly type: 'close' };

/** A request that shares a transaction with others. */
export type BatchedRequest = Exclude<WorkerRequest, { readonly type: 'close' | 'erase' }>;

export type WorkerReply =
  /** The store is open. */
  | { readonly type: 'opened' }
  /** The store cannot be opened. */
  | { readonly type: 'refused'; readonly error: SerializedError }
  | { readonly type: 'evicted'; readonly report: EvictionReport }
  | { readonly type: 'sweep_failed'; readonly error: SerializedError }
  /** There may be erasures whose rest is to be done: see `ErasureProgress`. */
  | { readonly type: 'unsettled' }
  | { readonly type: 'log_held'; readonly held: LogHeld }
  | { readonly type: 'done'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly error: SerializedError };
