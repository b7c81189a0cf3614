/** Runs each request to the store's worker, inside the transaction that `group-commit.ts` opens for it. */

import type { Database } from '../sqlite/index.js';
import { Exporter } from './exporter.js';
import type { BatchedRequest } from './messages.js';
import { prepareReads } from './reads.js';
import type { RetentionSettings } from './retention.js';
import { statusOf } from './status.js';
import type { Upkeep } from './upkeep.js';
import type { ReplayWriter } from './writer.js';

/** Runs one request; returns its result, or `null` for a write without one. */
export type PerformOperation = (request: BatchedRequest) => unknown;

export interface OperationsOptions {
  readonly database: Database;
  readonly writer: ReplayWriter;
  readonly upkeep: Pick<Upkeep, 'noteLessons'>;
  /** The bounds that the status of the store repeats. */
  readonly retention: RetentionSettings;
}

export function createOperations({ database, writer, upkeep, retention }: OperationsOptions): PerformOperation {
  const reads = prepareReads(database);
  const exporter = new Exporter(database);
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
      case 'importRecords':
        return request.items.map((record) => writer.import(record));
      case 'status':
        return statusOf(database, writer.counts(), reads, retention);
    }
  };
}
