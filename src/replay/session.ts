/**
 * The store's file as the worker has it open: for reading and writing, or for reading only while the disk has no room.
 */

import type { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { countAll } from './counts.js';
import { ExportHistory } from './export-history.js';
import { GroupCommit } from './group-commit.js';
import type { WorkerReply, WorkerSettings } from './messages.js';
import { openForWriting, openWithoutRoom, whyNoFile } from './open-file.js';
import { createOperations, createReads } from './operations.js';
import { fromSqlite } from './sqlite-errors.js';
import { Upkeep } from './upkeep.js';
import { ReplayWriter } from './writer.js';

export interface Session {
  readonly commits: Pick<GroupCommit, 'run' | 'refusal' | 'isDamaged'>;
  /** Null: the file is open for reading only, or not at all. */
  readonly upkeep: Upkeep | null;
  /** Moves the log into the file, if there is room, and closes the file. */
  close(): void;
}

/** Called with what happens in the file by itself. */
export type PostNotice = (notice: WorkerReply) => void;

/**
 * Opens the file. On a full disk it may be open for reading only.
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_FULL`, `STORE_TOO_NEW`
 */
export function openSession(settings: WorkerSettings, post: PostNotice): Session {
  try {
    return openWritingSession(settings, post);
  } catch (thrown) {
    const error = fromSqlite(thrown, settings.path);
    if (error.code !== 'STORE_FULL' || settings.onFullDisk === 'refuse') throw error;
    return openReadingSession(settings, error);
  }
}

/**
 * Opens a file for writing that is open for reading only, once there is room.
 * @returns the session in the place of `reading`. It may be for reading only again, or refuse everything if the file cannot
 *   be opened at all; `reading` itself if nothing changed
 */
export function openAgain(reading: Session, settings: WorkerSettings, post: PostNotice): Session {
  if (reading.commits.isDamaged || whyNoFile(settings.path) !== undefined) return reading;
  // Closing it later would release the locks of the new connection.
  reading.close();
  try {
    return openWritingSession(settings, post, true);
  } catch (thrown) {
    const reason = fromSqlite(thrown, settings.path);
    try {
      return openReadingSession(settings, reason, true);
    } catch {
      return closedSession(reason);
    }
  }
}

/**
 * Opens the file for reading and writing, and completes the erasures that a crash interrupted.
 * @param isChecked whether the file was checked a moment ago
 */
function openWritingSession(settings: WorkerSettings, post: PostNotice, isChecked = false): Session {
  const { path } = settings;
  const database = openForWriting(settings, isChecked);
  let upkeep: Upkeep | undefined;
  try {
    const history = new ExportHistory(database);
    const writer = new ReplayWriter(database, history, settings.nowMs);
    upkeep = new Upkeep({
      ...settings,
      database,
      writer,
      onEvicted: (report) => post({ type: 'evicted', report }),
      onSweepFailed: (error) => post({ type: 'sweep_failed', error: error.toJSON() }),
      onUnsettled: () => post({ type: 'unsettled' }),
      onLogHeld: (held) => post({ type: 'log_held', held }),
      now: Date.now,
    });
    upkeep.completeErasures();
    const perform = createOperations({ database, writer, upkeep, history, settings });
    const commits = new GroupCommit({ database, writer, path, perform });
    return { commits, upkeep, close: closing(database, upkeep) };
  } catch (thrown) {
    upkeep?.close();
    database.close();
    upkeep?.dispose();
    throw fromSqlite(thrown, path);
  }
}

/** @param reason why the file cannot be opened for writing */
function openReadingSession(settings: WorkerSettings, reason: HoneError, isChecked = false): Session {
  const { path } = settings;
  const database = openWithoutRoom(path, isChecked);
  try {
    const counts = countAll(database);
    const history = new ExportHistory(database);
    const perform = createReads({ database, history, counts: () => counts, upkeep: null, settings });
    const commits = new GroupCommit({ database, writer: null, path, perform, refusal: reason });
    return { commits, upkeep: null, close: () => database.close() };
  } catch (thrown) {
    database.close();
    throw fromSqlite(thrown, path);
  }
}

/** A session without the file. @param reason why the file cannot be opened */
function closedSession(reason: HoneError): Session {
  const error = reason.toJSON();
  return {
    commits: {
      refusal: reason,
      isDamaged: false,
      run: (batch) => ({ replies: batch.map(({ id }) => ({ type: 'failed', id, error })), blocked: [] }),
    },
    upkeep: null,
    close: () => undefined,
  };
}

function closing(database: Database, upkeep: Upkeep): () => void {
  return () => {
    upkeep.close();
    try {
      database.readPragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // There is no room, or the disk fails. What the log holds is on disk, and the next opening reads it.
    } finally {
      database.close();
      upkeep.dispose();
    }
  };
}
