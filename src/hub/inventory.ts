/** What the cache holds, and the removal of it. */

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import {
  blobsOfSnapshot,
  bytesOf,
  folderOfRepository,
  idsInCache,
  listSnapshot,
  refsOf,
  remove,
  snapshotsOf,
} from './cache-layout.js';
import type { AskOptions } from './hub-client.js';
import { withLock } from './lock.js';
import { formatModelName, type ModelName } from './name.js';
import { type ServedForm, servedForms } from './served-record.js';
import { answering, findVariants } from './variants.js';

/** One snapshot of a model in the cache. */
export interface SnapshotEntry {
  readonly commit: string;
  /** Branches and tags that stood for it when they were last asked for. */
  readonly revisions: readonly string[];
  readonly directory: string;
  /** What `config.json` calls the family, such as `llama`; undefined if it tells none. */
  readonly family: string | undefined;
  readonly variants: readonly CachedVariant[];
}

/** One form of a snapshot. */
export interface CachedVariant {
  readonly name: string;
  readonly bytes: number;
  readonly modelFile: string;
  /** Whether Hone has served it, and with a learner; undefined if it never was served. */
  readonly served: ServedForm | undefined;
}

/** One model in the cache. */
export interface ModelEntry {
  readonly id: string;
  /** Bytes on the disk. */
  readonly bytes: number;
  /** Bytes of these that belong to downloads that are not whole. */
  readonly incompleteBytes: number;
  readonly snapshots: readonly SnapshotEntry[];
}

/** Lists the models of the cache, sorted by name. */
export async function listModels(cacheDirectory: string): Promise<ModelEntry[]> {
  const entries: ModelEntry[] = [];
  for (const id of await idsInCache(cacheDirectory)) entries.push(await describeModel(cacheDirectory, id));
  return entries;
}

async function describeModel(cacheDirectory: string, id: string): Promise<ModelEntry> {
  const folder = folderOfRepository(cacheDirectory, id);
  const refs = await refsOf(folder);
  const served = await servedForms(folder.root);
  const snapshots: SnapshotEntry[] = [];
  for (const commit of await snapshotsOf(folder)) {
    const directory = join(folder.snapshots, commit);
    const files = await listSnapshot(folder, commit);
    snapshots.push({
      commit,
      revisions: [...refs].flatMap(([name, of]) => (of === commit ? [name] : [])),
      directory,
      family: await familyOf(directory),
      variants: findVariants(files).map(({ name, bytes, modelFile }) => {
        return { name, bytes, modelFile, served: served(commit, modelFile) };
      }),
    });
  }
  return { id, bytes: await bytesOf(folder.root), incompleteBytes: await incompleteIn(folder.blobs), snapshots };
}

/**
 * Removes a model, one revision of it, or one variant's weights. What other snapshots need stays.
 * @returns the bytes that were freed
 * @throws HoneError `HUB_NOT_FOUND` if the cache does not hold it
 */
export async function removeModel(cacheDirectory: string, name: ModelName, ask: AskOptions): Promise<number> {
  const folder = folderOfRepository(cacheDirectory, name.id);
  if (!(await idsInCache(cacheDirectory)).includes(name.id)) throw absent(name, cacheDirectory);
  return await withLock(folder, ask, async () => {
    const before = await bytesOf(folder.root);
    if (name.variant === undefined && name.revision === undefined) {
      await remove(folder.root);
      return before;
    }
    const refs = await refsOf(folder);
    const all = await snapshotsOf(folder);
    const wanted = name.revision === undefined ? undefined : (refs.get(name.revision) ?? name.revision);
    const commits = all.filter((commit) => wanted === undefined || commit === wanted);
    let removed = 0;
    for (const commit of commits) {
      if (name.variant === undefined) {
        await remove(join(folder.snapshots, commit));
        // A listing that newer releases of huggingface_hub keep beside it.
        await remove(join(folder.root, 'trees', `${commit}.json`));
        for (const [ref, of] of refs) if (of === commit) await remove(join(folder.refs, ref));
        removed += 1;
        continue;
      }
      const asked = name.variant;
      const [variant] = answering(findVariants(await listSnapshot(folder, commit)), asked);
      for (const { path } of variant?.weights ?? []) {
        await remove(join(folder.snapshots, commit, path));
        removed += 1;
      }
    }
    if (removed === 0) throw absent(name, cacheDirectory);
    const used = new Set<string>();
    for (const commit of await snapshotsOf(folder))
      for (const blob of await blobsOfSnapshot(folder, commit)) used.add(blob);
    for (const blob of await readdir(folder.blobs).catch(() => []))
      if (!used.has(blob)) await remove(join(folder.blobs, blob));
    return before - (await bytesOf(folder.root));
  });
}

async function familyOf(directory: string): Promise<string | undefined> {
  try {
    const value = JSON.parse(await readFile(join(directory, 'config.json'), 'utf8')) as { model_type?: unknown } | null;
    return typeof value?.model_type === 'string' ? value.model_type : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes of downloads that are not whole, Hone's and other programs'. */
async function incompleteIn(blobs: string): Promise<number> {
  const names = (await readdir(blobs).catch(() => [])).filter((name) => name.endsWith('.incomplete'));
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(blobs, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function absent(name: ModelName, cacheDirectory: string): HoneError {
  return new HoneError(
    'HUB_NOT_FOUND',
    `the cache ${cacheDirectory} does not hold ${formatModelName(name)}; hone models lists what it holds`,
  );
}
