/**
 * The cache of Python's `huggingface_hub`, so that each finds what the other has fetched:
 *
 *     models--owner--name/refs/main                     the commit of a branch or tag
 *     models--owner--name/blobs/<hash>                  contents by their hash
 *     models--owner--name/snapshots/<commit>/<path>     links to blobs, or files where there can be no links
 *
 * Hone's own partial downloads end in `.hone.incomplete`, so that no other program appends to them.
 */

import { randomUUID } from 'node:crypto';
import {
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { systemCode } from '../file-system-errors.js';
import type { RepositoryFile } from './listing.js';

/** The folders of one repository in the cache. */
export interface RepositoryFolder {
  readonly root: string;
  readonly blobs: string;
  readonly snapshots: string;
  readonly refs: string;
  /** The lock of downloads. */
  readonly lock: string;
}

const prefix = 'models--';
const commit = /^[0-9a-f]{40}$/;

/** Whether a text is a whole commit. */
export const isCommit = (text: string): boolean => commit.test(text);

export function folderOfRepository(cacheDirectory: string, id: string): RepositoryFolder {
  const name = `${prefix}${id.replaceAll('/', '--')}`;
  const root = join(cacheDirectory, name);
  return {
    root,
    blobs: join(root, 'blobs'),
    snapshots: join(root, 'snapshots'),
    refs: join(root, 'refs'),
    lock: join(cacheDirectory, '.locks', name, 'hone.lock'),
  };
}

/** The ids of the models that have a folder in the cache, sorted. */
export async function idsInCache(cacheDirectory: string): Promise<string[]> {
  const names = await readdir(cacheDirectory).catch(() => []);
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length).replace('--', '/'))
    .sort();
}

/** The commit that a revision stood for when it was last asked for; undefined if it never was. */
export async function commitOf({ refs }: RepositoryFolder, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const text = await readFile(join(refs, revision), 'utf8').catch(() => '');
  return isCommit(text.trim()) ? text.trim() : undefined;
}

/** Notes the commit of a branch or tag. */
export async function writeRef({ refs }: RepositoryFolder, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = join(refs, revision);
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  await writeFile(fresh, commit);
  await rename(fresh, path);
}

/** The revisions that stand for commits, by the names of files in `refs`. */
export async function refsOf(folder: RepositoryFolder): Promise<Map<string, string>> {
  const names = await readdir(folder.refs, { recursive: true }).catch(() => []);
  const found = new Map<string, string>();
  for (const name of names.map((one) => one.split(sep).join('/'))) {
    const commit = await commitOf(folder, name);
    if (commit !== undefined && !name.endsWith('.tmp')) found.set(name, commit);
  }
  return found;
}

/** The files of a snapshot whose contents are there, with their sizes; none if there is no such snapshot. */
export async function listSnapshot({ snapshots }: RepositoryFolder, commit: string): Promise<RepositoryFile[]> {
  const root = join(snapshots, commit);
  const names = await readdir(root, { recursive: true }).catch(() => []);
  const files = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(root, name)).catch(() => undefined);
      return found?.isFile() ? [{ path: name.split(sep).join('/'), size: found.size }] : [];
    }),
  );
  return files.flat().sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The commits that have a snapshot. */
export async function snapshotsOf({ snapshots }: RepositoryFolder): Promise<string[]> {
  return (await readdir(snapshots).catch(() => [])).filter(isCommit).sort();
}

/**
 * Puts a blob into a snapshot: a relative link; a copy where the file system or the user's rights allow no links. A name
 * that is there already is replaced at once, never absent in between.
 */
export async function linkIntoSnapshot(
  folder: RepositoryFolder,
  commit: string,
  path: string,
  blob: string,
): Promise<void> {
  const place = join(folder.snapshots, commit, ...path.split('/'));
  const target = join(folder.blobs, blob);
  await mkdir(dirname(place), { recursive: true });
  const link = relative(dirname(place), target);
  if ((await readlink(place).catch(() => undefined)) === link) return;
  const fresh = `${place}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await symlink(link, fresh, 'file');
  } catch (thrown) {
    if (!['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'UNKNOWN'].includes(systemCode(thrown) ?? ''))
      throw thrown;
    await copyFile(target, fresh);
  }
  await rename(fresh, place);
}

/** The names of the blobs that a snapshot links to. */
export async function blobsOfSnapshot({ snapshots }: RepositoryFolder, commit: string): Promise<Set<string>> {
  const root = join(snapshots, commit);
  const names = await readdir(root, { recursive: true }).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(join(root, name)).catch(() => undefined)));
  return new Set(links.flatMap((link) => (link === undefined ? [] : [link.slice(link.lastIndexOf(sep) + 1)])));
}

/** The bytes that a folder takes on the disk; links take none. */
export async function bytesOf(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map(async (name) => {
      const found = await lstat(join(folder, name)).catch(() => undefined);
      return found?.isFile() ? found.size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Removes a folder or file with all that it holds; what is missing is no fault. */
export async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
