/** How much memory the learner keeps to. */

import { totalmem } from 'node:os';
import { HoneError } from '../../errors.js';

/** The server, its KV cache and the system need the rest. */
const usualShare = 1 / 4;
/** A model that takes more than its usual share gets what it needs, up to this share. */
const largestShare = 3 / 4;
/** Room for batches, if a model takes more than its usual share. */
const leastRoomBytes = 256 * 1024 * 1024;

/** Bytes of memory that this process may use at most: the machine's, or less if a container or cgroup limits it. */
export function memoryOfMachine(
  machineBytes: number = totalmem(),
  limitBytes: number = process.constrainedMemory(),
): number {
  return limitBytes > 0 ? Math.min(machineBytes, limitBytes) : machineBytes;
}

/**
 * The bound of the learner's memory.
 * @param askedBytes what the user has set; null for the default, which is a quarter of the memory
 * @param leastBytes what the model takes with the smallest batch
 * @throws HoneError `INVALID_OPTIONS` if that leaves nothing for a batch
 */
export function memoryBound(askedBytes: number | null, leastBytes: number, availableBytes = memoryOfMachine()): number {
  const usual = Math.max(usualShare * availableBytes, leastBytes + leastRoomBytes);
  const bound = Math.floor(askedBytes ?? Math.min(usual, largestShare * availableBytes));
  if (bound >= leastBytes) return bound;
  const [may, takes] = [megabytes(bound), megabytes(leastBytes)];
  throw new HoneError(
    'INVALID_OPTIONS',
    askedBytes === null
      ? `the learner may use ${may} MB, three quarters of the memory, and the model takes ${takes} MB before any batch: ` +
          'use a smaller model, or give the machine more memory'
      : `the learner may use ${may} MB, and the model takes ${takes} MB before any batch: raise --learner-memory, or ` +
          'leave it out',
  );
}

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);
