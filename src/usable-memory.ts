import { totalmem } from 'node:os';

/** Bytes of memory that this process may use: the machine's, or the bound that a container sets. */
export function usableMemory(): number {
  const bound = process.constrainedMemory();
  return bound > 0 && bound < totalmem() ? bound : totalmem();
}
