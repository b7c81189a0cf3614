/**
 * Makes the folders of a test file. They are removed when all of its tests and then all of its processes have ended. If a
 * folder cannot be removed, some process still writes to it, and the test fails.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atTheEnd } from './ending.js';

const folders: string[] = [];

atTheEnd('folders', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Makes a new, empty folder. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hone-test-'));
  folders.push(folder);
  return folder;
}
