/**
 * Room on the disk that a start can fall back on: the file `spare`, which is deleted if the store cannot be opened because
 * the disk is full. SQLite needs some room before it can even read a store that takes writes: its index of the log, and the
 * marks on the generations that a killed server left running.
 */

import { randomBytes } from 'node:crypto';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of the file: several times what opening a store needs. */
const spareBytes = 256 * 1024;

export class SpareRoom {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, 'spare');
  }

  /** Makes the file unless it is there. A disk without room for it has none to spare. */
  keep(): void {
    try {
      if (statSync(this.#path, { throwIfNoEntry: false })?.size === spareBytes) return;
      // Random bytes, because a file system may compress others to nothing.
      writeFileSync(this.#path, randomBytes(spareBytes), { mode: 0o600 });
    } catch {
      this.giveBack();
    }
  }

  /** Gives the room back to the disk. Returns whether there was any. */
  giveBack(): boolean {
    const had = statSync(this.#path, { throwIfNoEntry: false }) !== undefined;
    rmSync(this.#path, { force: true });
    return had;
  }
}
