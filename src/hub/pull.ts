/** Fetches one form of a model into the cache, with everything that it needs and nothing else. */

import { join } from 'node:path';
import { fileSystemError } from '../file-system-errors.js';
import { folderOfRepository, linkIntoSnapshot, type RepositoryFolder, writeRef } from './cache-layout.js';
import { type Choice, type ChoiceConditions, chooseVariant } from './choose.js';
import { bytesInCache, download } from './download.js';
import type { OnHubEvent } from './events.js';
import type { AskOptions, HubClient } from './hub-client.js';
import type { HubFile } from './listing.js';
import { withLock } from './lock.js';
import { defaultRevision, type ModelName } from './name.js';
import { checkRoom } from './room.js';
import { findVariants } from './variants.js';

export interface PullOptions {
  readonly conditions: Omit<ChoiceConditions, 'parameters'>;
  /** Most bytes that the cache may hold. Default: the disk is the bound. */
  readonly maxCacheBytes?: number | undefined;
  readonly signal: AbortSignal;
  readonly onEvent: OnHubEvent;
}

/** A form of a model in the cache. */
export interface CachedModel {
  /** The folder of the snapshot. */
  readonly directory: string;
  readonly commit: string;
  readonly choice: Choice;
}

export interface PulledModel extends CachedModel {
  readonly license: string | undefined;
  /** Bytes that were fetched now. */
  readonly fetchedBytes: number;
}

/** Files that are fetched at once. */
const concurrency = 4;

/**
 * Asks the hub for a revision, chooses a form and fetches what is missing of it. When this resolves, the snapshot holds
 * all of it. A process that is killed meanwhile leaves what it has fetched; the next call goes on there.
 * @throws HoneError `HUB_NOT_FOUND`, `HUB_REFUSED`, `HUB_UNREACHABLE`, `HUB_BUSY`, `DOWNLOAD_CORRUPT`, `CACHE_FULL`
 */
export async function pullModel(client: HubClient, name: ModelName, options: PullOptions): Promise<PulledModel> {
  const { signal, onEvent, conditions } = options;
  const { cacheDirectory } = client.requests.settings;
  const ask: AskOptions = { signal, onWait: (why, waitMs) => onEvent({ type: 'waiting', why, waitMs }) };
  const revision = name.revision ?? defaultRevision;
  const { commit, license, parameters } = await client.info(name.id, revision, ask);
  const listed = await client.files(name.id, commit, ask);
  const choice = chooseVariant(findVariants(listed), name.variant, { ...conditions, parameters }, name.id);
  const { files, modelFile } = choice.variant;
  const folder = folderOfRepository(cacheDirectory, name.id);
  const have = await sumOf(files, (file) => bytesInCache(folder, file));
  onEvent({ type: 'chosen', id: name.id, choice, bytes: choice.variant.bytes - have, license });
  try {
    const fetchedBytes = await withLock(folder, ask, async () => {
      const there = await sumOf(files, (file) => bytesInCache(folder, file));
      const missing = choice.variant.bytes - there;
      await checkRoom(cacheDirectory, missing, options.maxCacheBytes);
      await fetchAll(client, { id: name.id, commit, folder, files, there, options, ask });
      // The file that makes a form one comes last, so a snapshot never seems to hold a form of which a part is missing.
      const ordered = [...files].sort((a, b) => Number(a.path === modelFile) - Number(b.path === modelFile));
      for (const file of ordered) await linkIntoSnapshot(folder, commit, file.path, file.hash);
      await writeRef(folder, revision, commit);
      return missing;
    });
    return { directory: join(folder.snapshots, commit), commit, choice, license, fetchedBytes };
  } catch (thrown) {
    signal.throwIfAborted();
    throw fileSystemError(thrown, `the cache cannot be written at ${folder.root}`);
  }
}

interface Work {
  readonly id: string;
  readonly commit: string;
  readonly folder: RepositoryFolder;
  readonly files: readonly HubFile[];
  /** Bytes that are there at the start. */
  readonly there: number;
  readonly options: PullOptions;
  readonly ask: AskOptions;
}

async function fetchAll(client: HubClient, { id, commit, folder, files, there, options, ask }: Work): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = there;
  const onBytes = (bytes: number): void => {
    done += bytes;
    options.onEvent({ type: 'progress', done, total });
  };
  // If one file fails, the others stop.
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  // Two paths may have the same content, and so the same blob.
  const waiting = [...new Map(files.map((file) => [file.hash, file])).values()].sort((a, b) => b.size - a.size);
  const worker = async (): Promise<void> => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      await download(client, { ...ask, id, commit, file, folder, signal, onBytes });
    }
  };
  const workers = Array.from({ length: concurrency }, () =>
    worker().catch((thrown: unknown) => {
      failure.abort(thrown);
      throw thrown;
    }),
  );
  const [first] = (await Promise.allSettled(workers)).flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  options.signal.throwIfAborted();
  if (first !== undefined) throw failure.signal.reason;
}

async function sumOf<T>(items: readonly T[], measure: (item: T) => Promise<number>): Promise<number> {
  return (await Promise.all(items.map(measure))).reduce((sum, one) => sum + one, 0);
}
