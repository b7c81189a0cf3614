/**
 * Fetches one file into the cache's blobs. What has come lies in `<hash>.hone.incomplete`; a later call, of this process
 * or another, goes on behind it. The content is compared with its hash before it gets its name, and is on the disk then.
 */

import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoneError } from '../errors.js';
import { isNoRoom } from '../file-system-errors.js';
import type { RepositoryFolder } from './cache-layout.js';
import type { HubClient } from './hub-client.js';
import type { HubFile } from './listing.js';
import { refusal } from './refusals.js';
import { type OnWait, reasonOf } from './requests.js';
import { inBinaryUnits } from './sizes.js';

/** Which file to fetch, and who is told. */
export interface DownloadRequest {
  readonly id: string;
  readonly commit: string;
  readonly file: HubFile;
  readonly folder: RepositoryFolder;
  readonly signal: AbortSignal;
  readonly onWait: OnWait;
  /** Called with the bytes that are there more than at the last call; fewer than none when they are thrown away. */
  readonly onBytes: (bytes: number) => void;
}

/** Where the blob of a file lies when it is whole. */
export const blobOf = ({ blobs }: RepositoryFolder, { hash }: HubFile): string => join(blobs, hash);

const incompleteOf = (folder: RepositoryFolder, file: HubFile): string => `${blobOf(folder, file)}.hone.incomplete`;

/** The bytes of a file that are in the cache; all of them if the blob is whole. */
export async function bytesInCache(folder: RepositoryFolder, file: HubFile): Promise<number> {
  if (await isWhole(folder, file)) return file.size;
  const partial = await stat(incompleteOf(folder, file)).catch(() => undefined);
  return partial === undefined || partial.size > file.size ? 0 : partial.size;
}

/** Whether the blob of a file is there with the size that it must have. */
export async function isWhole(folder: RepositoryFolder, file: HubFile): Promise<boolean> {
  const found = await stat(blobOf(folder, file)).catch(() => undefined);
  return found?.isFile() === true && found.size === file.size;
}

/**
 * Fetches a file unless its blob is there. The caller holds the repository's lock.
 * @throws HoneError `DOWNLOAD_CORRUPT` after the second content that has not the hash; `CACHE_FULL`; those of the hub
 */
export async function download(client: HubClient, request: DownloadRequest): Promise<void> {
  const { folder, file, onWait } = request;
  if (await isWhole(folder, file)) return;
  await mkdir(folder.blobs, { recursive: true });
  const partial = incompleteOf(folder, file);
  for (let attempt = 1; ; attempt += 1) {
    const hash = await fillUp(client, request, partial);
    if (hash === file.hash) break;
    await rm(partial, { force: true });
    request.onBytes(-file.size);
    const what = `${file.path} came with other content: its hash is ${hash.slice(0, 12)}..., not ${file.hash.slice(0, 12)}...`;
    if (attempt === 2) {
      throw new HoneError(
        'DOWNLOAD_CORRUPT',
        `${what}, twice; what came was deleted. Something between this machine and ${client.requests.settings.endpoint} changes files: check the proxy and HF_ENDPOINT`,
      );
    }
    onWait(`${what}; it was deleted and is fetched again`, 0);
  }
  await rename(partial, blobOf(folder, file));
  await syncFolder(dirname(partial));
}

/** Fetches what is missing of a partial file. @returns the hash of the whole content, which is on the disk */
async function fillUp(client: HubClient, request: DownloadRequest, partial: string): Promise<string> {
  const { file, signal, onWait } = request;
  const { waitsMs, wait } = client.requests.pace;
  await using handle = await open(partial, 'a+');
  const content = await Content.of(handle, file);
  for (let failures = 0; content.bytes < file.size; ) {
    const before = content.bytes;
    const why = await fetchRest(client, request, content).catch((thrown: unknown) => {
      signal.throwIfAborted();
      if (thrown instanceof HoneError) throw thrown;
      if (isNoRoom(thrown)) throw noRoom(file, thrown);
      return reasonOf(thrown);
    });
    if (content.bytes === file.size) break;
    // As long as something comes, a bad line is only slow.
    failures = content.bytes > before ? 1 : failures + 1;
    const waitMs = waitsMs[failures - 1];
    if (waitMs === undefined) throw client.requests.unreachable(`${file.path}: ${why ?? 'the connection ended'}`);
    const have = `${inBinaryUnits(content.bytes)} of ${inBinaryUnits(file.size)}`;
    onWait(`${file.path} was cut off at ${have} (${why ?? 'the connection ended'})`, waitMs);
    await wait(waitMs, signal);
  }
  try {
    await handle.sync();
  } catch (thrown) {
    throw isNoRoom(thrown) ? noRoom(file, thrown) : thrown;
  }
  return content.digest();
}

/** Asks for the rest of a file and appends what comes. Returns or throws a system's error when the connection ends. */
async function fetchRest(client: HubClient, request: DownloadRequest, content: Content): Promise<undefined> {
  const { id, commit, file, signal, onWait, onBytes } = request;
  const silence = new AbortController();
  const both = AbortSignal.any([signal, silence.signal]);
  const from = content.bytes;
  const { response, first } = await client.requests.get(client.addressOf(id, commit, file.path), {
    signal: both,
    onWait,
    headers: from === 0 ? {} : { range: `bytes=${from}-` },
  });
  if (!response.ok) {
    throw refusal(response, await response.text().catch(() => ''), {
      id,
      revision: commit,
      path: file.path,
      settings: client.requests.settings,
      near: [],
    });
  }
  const tag = (first.get('x-linked-etag') ?? first.get('etag') ?? '').replace(/^W\/|"/g, '');
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  const goesOn = response.status === 206 && Number(range?.[1]) === from && Number(range?.[2]) === file.size;
  // A hub that sends all of it, or the rest of something else: begin again.
  const isOther = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(tag) && tag.length === file.hash.length && tag !== file.hash;
  if (from > 0 && (!goesOn || isOther)) {
    await content.restart();
    onBytes(-from);
    if (response.status === 206) {
      await response.body?.cancel();
      return;
    }
  }
  const timer = setTimeout(() => silence.abort(new Error('nothing came any more')), client.requests.pace.silentMs);
  try {
    for await (const piece of response.body ?? []) {
      timer.refresh();
      if (content.bytes + piece.length > file.size) {
        throw new HoneError(
          'DOWNLOAD_CORRUPT',
          `${file.path} is longer than the ${file.size} bytes that the hub lists; run the command again`,
        );
      }
      await content.append(piece);
      onBytes(piece.length);
    }
  } catch (thrown) {
    throw silence.signal.aborted && !signal.aborted ? silence.signal.reason : thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** A partial file with the hash of what it holds. */
class Content {
  readonly #handle: FileHandle;
  readonly #file: HubFile;
  #hash: Hash;
  bytes = 0;

  private constructor(handle: FileHandle, file: HubFile) {
    this.#handle = handle;
    this.#file = file;
    this.#hash = startHash(file);
  }

  /** Reads what is there already. A file that is longer than it may be is emptied. */
  static async of(handle: FileHandle, file: HubFile): Promise<Content> {
    const content = new Content(handle, file);
    const { size } = await handle.stat();
    if (size > file.size) await handle.truncate(0);
    else if (size > 0) {
      const stream = handle.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 20 });
      for await (const piece of stream as AsyncIterable<Buffer>) content.#take(piece);
    }
    return content;
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      const { bytesWritten } = await this.#handle.write(piece, at);
      at += bytesWritten;
    }
    this.#take(piece);
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = startHash(this.#file);
    this.bytes = 0;
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  #take(piece: Uint8Array): void {
    this.#hash.update(piece);
    this.bytes += piece.length;
  }
}

/** Git hashes a file with a header that holds its size. */
function startHash({ hashKind, size }: HubFile): Hash {
  return hashKind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

function noRoom(file: HubFile, cause: unknown): HoneError {
  return new HoneError(
    'CACHE_FULL',
    `the disk of the cache became full while ${file.path} (${inBinaryUnits(file.size)}) was fetched: free space, or name another folder with HF_HUB_CACHE, and run the command again: it goes on where it stopped`,
    { cause },
  );
}

/** Makes a rename last. Some systems cannot open folders; there it lasts without this. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
