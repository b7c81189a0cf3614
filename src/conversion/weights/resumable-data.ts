/**
 * Writes the data file, weight after weight, and a journal with the digest of each one. After an interruption it goes on
 * behind the last weight whose bytes on the disk still have that digest.
 */

import { createHash } from 'node:crypto';
import { appendFile, type FileHandle, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../../errors.js';
import { type DataLayout, dataFileName, type PlacedWeight } from './data-layout.js';
import { bytesOf } from './planned-weights.js';

/** The journal's name in the folder of the unfinished package. */
export const journalName = 'journal.jsonl';

export interface DataOptions {
  /** The folder of the unfinished package, and the one in it for the data file. Both exist. */
  readonly draft: string;
  readonly folder: string;
  /** A digest over everything that decides the bytes. A journal with another key is not continued. */
  readonly key: string;
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece with bytes of the data file. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/**
 * Writes the whole data file; it is on the disk when the call resolves.
 * @returns the bytes that an earlier call had written
 * @throws HoneError `CANCELLED` if the signal fires; a later call goes on from there
 */
export async function writeData(layout: DataLayout, options: DataOptions): Promise<number> {
  const journal = join(options.draft, journalName);
  const path = join(options.folder, dataFileName);
  // Appending creates the file, but could not write at the offsets of the layout.
  await appendFile(path, '');
  const handle = await open(path, 'r+');
  try {
    const done = await wholeWeights(layout, journal, handle, options.key);
    const resumed = layout.placed[done.length - 1]?.end ?? 0;
    await handle.truncate(resumed);
    await writeFile(journal, [JSON.stringify({ key: options.key }), ...done, ''].join('\n'));
    options.onProgress?.(resumed, layout.bytes);
    for (const placed of layout.placed.slice(done.length)) {
      const digest = await writeWeight(placed, layout.bytes, handle, options);
      await appendFile(journal, `${entryOf(placed, digest)}\n`);
    }
    await handle.sync();
    return resumed;
  } finally {
    await handle.close();
  }
}

function entryOf({ weight, end }: PlacedWeight, digest: string): string {
  return JSON.stringify({ weight: weight.tensors[0]?.name, end, digest });
}

/** Returns the journal's lines of weights that are whole, in order. */
async function wholeWeights(layout: DataLayout, journal: string, handle: FileHandle, key: string): Promise<string[]> {
  const [first, ...lines] = (await readFile(journal, 'utf8').catch(() => '')).split('\n');
  if (first !== JSON.stringify({ key })) return [];
  const whole: string[] = [];
  for (const [i, line] of lines.entries()) {
    const placed = layout.placed[i];
    if (placed === undefined || line === '') break;
    const digest = await digestOf(placed, handle);
    if (digest === null || line !== entryOf(placed, digest)) break;
    whole.push(line);
  }
  return whole;
}

const readBytes = 1 << 22;

/** The digest of a weight's bytes in the file, or null if the file is too short. */
async function digestOf({ weight, offsets }: PlacedWeight, handle: FileHandle): Promise<string | null> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(readBytes);
  for (const [i, tensor] of weight.tensors.entries()) {
    let left = bytesOf(tensor);
    let at = offsets[i] as number;
    while (left > 0) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(left, readBytes), at);
      if (bytesRead === 0) return null;
      hash.update(buffer.subarray(0, bytesRead));
      left -= bytesRead;
      at += bytesRead;
    }
  }
  return hash.digest('hex');
}

async function writeWeight(
  { weight, offsets, end }: PlacedWeight,
  total: number,
  handle: FileHandle,
  { signal, onProgress }: DataOptions,
): Promise<string> {
  const hash = createHash('sha256');
  let tensor = 0;
  let at = offsets[0] as number;
  for await (const piece of weight.pieces()) {
    if (signal?.aborted) throw new HoneError('CANCELLED', 'the conversion was cancelled; it goes on where it stopped');
    const planned = weight.tensors[tensor];
    if (planned !== undefined && at === (offsets[tensor] as number) + bytesOf(planned)) {
      tensor += 1;
      at = offsets[tensor] as number;
    }
    await writeAll(handle, piece, at);
    hash.update(piece);
    at += piece.byteLength;
    onProgress?.(at, total);
  }
  if (at !== end) throw new HoneError('INTERNAL', `${weight.tensors[0]?.name} ends at ${at} instead of ${end}`);
  return hash.digest('hex');
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
