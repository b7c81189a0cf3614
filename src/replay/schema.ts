/**
 * The version of the store's file: checks that a file is a store which this build can read, and upgrades an older one.
 *
 * `PRAGMA application_id` marks the file as Hone's. `PRAGMA user_version` is the number of upgrades that have run.
 */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { upgrades } from './upgrades.js';

/** `PRAGMA application_id` of a replay store: "Hone" in ASCII. */
export const applicationId = 0x486f6e65;

/** The version of the format that this build writes. */
const schemaVersion = upgrades.length;

/**
 * Upgrades a file to {@link schemaVersion}, in one transaction.
 * @throws HoneError `STORE_TOO_NEW` if a later Hone wrote it
 */
export function upgradeSchema(database: Database, path: string): void {
  const from = database.readNumber('user_version');
  if (from === schemaVersion) return;
  if (from > schemaVersion) throw tooNew(path, from);
  // Dropping or renaming a table must not delete rows of the tables that refer to it.
  database.setPragma('foreign_keys', 'OFF');
  database.transaction('immediate', () => {
    for (const upgrade of upgrades.slice(from)) upgrade(database);
    database.setPragma('user_version', schemaVersion);
  });
  database.setPragma('foreign_keys', 'ON');
}

/**
 * Checks that an existing file is a replay store that this build can read.
 * @throws HoneError `STORE_CORRUPT` if it is another file, `STORE_TOO_NEW` if a later Hone wrote it
 */
export function checkIdentity(database: Database, path: string): void {
  const found = database.readNumber('application_id');
  if (found !== applicationId) {
    throw new HoneError(
      'STORE_CORRUPT',
      `${path} is not a Hone replay store (application_id ${found}). Move it away, or restore the store from a backup.`,
    );
  }
  const version = database.readNumber('user_version');
  if (version > schemaVersion) throw tooNew(path, version);
}

function tooNew(path: string, version: number): HoneError {
  return new HoneError(
    'STORE_TOO_NEW',
    `${path} has format ${version}, this build reads formats up to ${schemaVersion}. Run the newer Hone that wrote it.`,
  );
}
