/**
 * Folders of a test file. They go when all of its tests have ended, after the processes that may write to them: a folder
 * that cannot be removed then is one that somebody still writes to, and that is a fault.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atTheEnd } from './ending.js';

const folders: string[] = [];

atTheEnd('folders', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new, empty folder. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hone-test-'));
  folders.push(folder);
  return folder;
}
