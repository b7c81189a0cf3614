/** Writes files so that a crash leaves them complete or absent: under another name, forced to the disk, then renamed. */

import { randomBytes } from 'node:crypto';
import { cp, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Forces a file's or a directory's contents to the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeSynced(path: string, content: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file; on disk when it resolves, and a crash leaves the old or the new content, never a mixture. */
export async function writeFileDurably(path: string, content: Uint8Array | string): Promise<void> {
  const draft = draftPath(path);
  try {
    await writeSynced(draft, content);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncPath(dirname(path));
}

/**
 * Makes a directory (0700) with these files; on disk when it resolves. The directory must not exist. A crash leaves none of
 * that name.
 */
export async function writeDirectoryDurably(
  path: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = draftPath(path);
  await mkdir(draft, { mode: 0o700 });
  try {
    for (const [name, content] of Object.entries(files)) await writeSynced(join(draft, name), content);
    await syncPath(draft);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  await syncPath(dirname(path));
}

/**
 * Moves a directory without subdirectories; on disk when it resolves. Across file systems it is copied, and gets its name
 * when the copy is complete.
 */
export async function moveDirectoryDurably(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const draft = draftPath(to);
    await cp(from, draft, { recursive: true });
    for (const name of await readdir(draft)) await syncPath(join(draft, name));
    await syncPath(draft);
    await rename(draft, to);
    await rm(from, { recursive: true, force: true });
  }
  await syncPath(dirname(to));
}

/** A hidden name beside the target: on the same file system, and never mistaken for a finished file. */
function draftPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`);
}
