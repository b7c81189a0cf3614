/** Whether there is room for a download: on the disk, and within the bound that the user set for the cache. */

import { mkdir, statfs } from 'node:fs/promises';
import { HoneError } from '../errors.js';
import { bytesOf } from './cache-layout.js';
import { inBinaryUnits } from './sizes.js';

/** Left free on the disk, bytes: a full disk harms everything else. */
const spareBytes = 64 * 2 ** 20;

/**
 * @param freeBytes the free bytes of the disk, if they are known already
 * @throws HoneError `CACHE_FULL` with the figures
 */
export async function checkRoom(
  cacheDirectory: string,
  neededBytes: number,
  maxCacheBytes: number | undefined,
  freeBytes?: number,
): Promise<void> {
  if (neededBytes === 0) return;
  await mkdir(cacheDirectory, { recursive: true });
  const free = freeBytes ?? (await freeOn(cacheDirectory));
  if (free !== undefined && neededBytes + spareBytes > free) {
    throw new HoneError(
      'CACHE_FULL',
      `the download needs ${inBinaryUnits(neededBytes)} and leaves ${inBinaryUnits(spareBytes)} free, and the disk of ${cacheDirectory} has ${inBinaryUnits(free)} free: free space (hone models remove), take a smaller variant, or name another folder with HF_HUB_CACHE`,
    );
  }
  if (maxCacheBytes === undefined) return;
  const used = await bytesOf(cacheDirectory);
  if (used + neededBytes > maxCacheBytes) {
    throw new HoneError(
      'CACHE_FULL',
      `the cache ${cacheDirectory} holds ${inBinaryUnits(used)}, and ${inBinaryUnits(neededBytes)} more would pass the bound of ${inBinaryUnits(maxCacheBytes)} (--max-cache-bytes): remove models (hone models remove) or raise the bound`,
    );
  }
}

async function freeOn(folder: string): Promise<number | undefined> {
  const found = await statfs(folder).catch(() => undefined);
  return found === undefined ? undefined : found.bavail * found.bsize;
}
