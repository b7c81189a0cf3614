/** Runs each request to the store's worker, inside the transaction that `group-commit.ts` opens for it. */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import type { Counts } from './counts.js';
import type { ExportHistory } from './export-history.js';
import { Exporter } from './exporter.js';
import type { BatchedRequest } from './messages.js';
import { prepareReads } from './reads.js';
import { type StatusSettings, statusOf } from './status.js';
import type { Upkeep } from './upkeep.js';
import type { ReplayWriter } from './writer.js';

/** Runs one request; returns its result, or `null` for one without. */
export type PerformOperation = (request: BatchedRequest) => unknown;

export interface ReadOptions {
  readonly database: Database;
  readonly history: ExportHistory;
  readonly counts: () => Counts;
  /** Null: the file is open for reading only. */
  readonly upkeep: Pick<Upkeep, 'log' | 'unsettled' | 'noteLessons' | 'noteErasure'> | null;
  /** What the status of the store repeats. */
  readonly settings: StatusSettings;
}

export interface OperationsOptions extends Omit<ReadOptions, 'counts'> {
  readonly writer: ReplayWriter;
  readonly upkeep: Pick<Upkeep, 'log' | 'unsettled' | 'noteLessons' | 'noteErasure'>;
}

/** Runs the requests that only read. */
export function createReads({ database, history, counts, upkeep, settings }: ReadOptions): PerformOperation {
  const reads = prepareReads(database);
  const exporter = new Exporter(database, history);
  return (request) => {
    switch (request.type) {
      case 'readGenerations':
        return reads.readGenerations(request.items);
      case 'readScores':
        return reads.readScores(request.items);
      case 'readPreferences':
        return reads.readPreferences(request.items);
      case 'readLessons':
        return reads.readLessons(request.items);
      case 'versionsWithLessons':
        return reads.versionsWithLessons();
      case 'readEdits':
        return reads.readEdits(request.items);
      case 'scoreExtremes':
        return reads.scoreExtremes();
      case 'countOutside':
        return request.items.map(reads.countOutside);
      case 'recentPrompts':
        return reads.recentPrompts(request.items[0]);
      case 'exportPage':
        return exporter.page(request.items[0]);
      case 'endExport':
        return history.end(request.items[0]) ?? null;
      case 'unsettledErasures':
        return upkeep?.unsettled() ?? [];
      case 'status':
        return statusOf(database, counts(), reads, upkeep?.log ?? null, settings);
      default:
        throw new HoneError('INTERNAL', `the store is open for reading only, and ${request.type} writes`);
    }
  };
}

/** Runs all requests. */
export function createOperations({ writer, upkeep, ...options }: OperationsOptions): PerformOperation {
  const read = createReads({ ...options, upkeep, counts: () => writer.counts() });
  return (request) => {
    switch (request.type) {
      case 'admit':
        return writer.admit(request.items) ?? null;
      case 'complete':
        return writer.complete(request.items) ?? null;
      case 'write':
        return request.items.map((item) => writer.write(item));
      case 'recordLessons':
        writer.recordLessons(request.items);
        return upkeep.noteLessons(request.items) ?? null;
      case 'importRecords':
        return request.items.map((record) => writer.import(record));
      case 'noteErasure':
        return upkeep.noteErasure(request.items[0]) ?? null;
      default:
        return read(request);
    }
  };
}
