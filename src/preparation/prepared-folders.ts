/**
 * The cache of prepared packages:
 *
 *     <cache>/packages/<key>/<name>/        the package, complete as soon as it has this name
 *     <cache>/packages/<key>/source.json    what it was made from
 *     <cache>/packages/<key>.lock           held by the process that makes it
 *
 * The key is a digest over what decides the content: the files (path, size, and time of change, or the hash by which a
 * download cache names them), the options, and the version of this form.
 */

import { createHash } from 'node:crypto';
import { mkdir, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RepositoryFile } from '../hub/index.js';
import { underFileLock } from '../sqlite/index.js';

/** A change of what is made from the same files and options changes this number. */
const formVersion = 1;

export interface PreparedFolder {
  readonly key: string;
  /** The package's folder. Its last part is the model's name. */
  readonly directory: string;
}

/**
 * Where the package that is made from these files with these options lies.
 * @param namedAfter the folder that gives the model its name. Default: `source`
 */
export async function folderFor(
  cacheDirectory: string,
  source: string,
  files: readonly RepositoryFile[],
  options: object,
  namedAfter = source,
): Promise<PreparedFolder> {
  const hash = createHash('sha256').update(JSON.stringify({ formVersion, options }));
  for (const file of files) hash.update(JSON.stringify(await identityOf(source, file)));
  const key = hash.digest('hex').slice(0, 32);
  return { key, directory: join(cacheDirectory, 'packages', key, await nameOf(namedAfter)) };
}

/** Contents of a download cache are named by their hash; elsewhere a file that changes has another time. */
async function identityOf(source: string, { path, size }: RepositoryFile): Promise<unknown[]> {
  const place = await realpath(join(source, path));
  if (basename(dirname(place)) === 'blobs' && /^[0-9a-f]{40,64}$/.test(basename(place)))
    return [path, size, basename(place)];
  return [path, size, (await stat(place)).mtimeMs, place];
}

/** The name for people: of a snapshot in a download cache, that of its repository. */
async function nameOf(directory: string): Promise<string> {
  const place = await realpath(directory);
  const [, repository] = /models--(?:.+?--)?([^/\\]+)[/\\]snapshots[/\\][^/\\]+$/.exec(place) ?? [];
  return repository ?? basename(place);
}

export interface MakeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if another process makes the same package. */
  readonly onWait: () => void;
  /** What `source.json` states beside the source. */
  readonly record: object;
}

/**
 * Makes the package unless it is there. One process makes it, others wait for it.
 * @param make writes the folder whose path it is given, which does not exist
 * @throws HoneError `CANCELLED` if the signal fires, and what `make` throws
 */
export async function makeOnce(
  { directory }: PreparedFolder,
  { signal, onWait, record }: MakeOptions,
  make: (target: string) => Promise<void>,
): Promise<void> {
  const home = dirname(directory);
  if (await isThere(directory)) return touch(home);
  await underFileLock(`${home}.lock`, { signal, onWait }, async () => {
    if (await isThere(directory)) return;
    await mkdir(home, { recursive: true });
    await make(directory);
    await writeFile(join(home, 'source.json'), `${JSON.stringify(record, null, 2)}\n`);
  });
}

/** Writes into a folder beside the target and renames it, so that the target is never half there. */
export async function writeWhole(target: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${target}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    await write(draft);
    await rename(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The time of last use, by which people and tools see which packages nobody needs. */
async function touch(home: string): Promise<void> {
  const now = new Date();
  await utimes(home, now, now).catch(() => undefined);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
