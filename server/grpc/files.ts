/** Collects files from a stream of pieces. It holds them in memory, up to a limit, until they are complete. */

import type { FileChunk__Output } from '../../proto/generated/hone/v1/FileChunk.js';
import { HoneError } from '../../src/errors.js';

/** Most files of one stream. */
const maxFiles = 8;

/** Assembles files from their pieces. */
export class FileCollector {
  readonly #maxBytes: number;
  readonly #files = new Map<string, Buffer>();
  #announced = 0;
  #current: { readonly name: string; readonly bytes: Buffer; filled: number } | undefined;

  /** @param maxBytes most bytes of all files together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws HoneError `INVALID_REQUEST` if the piece belongs to no file, or there are too many files or bytes */
  add(chunk: FileChunk__Output | null): void {
    if (chunk === null) throw refused('chunk', 'is missing');
    const { name, size, data } = chunk;
    if (name !== '') this.#begin(name, size);
    const current = this.#current;
    if (current === undefined) throw refused('chunk.name', 'must be given in the first piece of a file');
    if (current.filled + data.length > current.bytes.length) {
      throw refused('chunk.data', `makes ${current.name} longer than the ${current.bytes.length} bytes announced`);
    }
    current.bytes.set(data, current.filled);
    current.filled += data.length;
  }

  /** Returns the files. @throws HoneError `INVALID_REQUEST` if one of them is not complete */
  finish(): Readonly<Record<string, Uint8Array>> {
    this.#end();
    return Object.fromEntries(this.#files);
  }

  #begin(name: string, size: number): void {
    this.#end();
    if (!/^[\w-]+(\.[\w-]+)*$/.test(name)) throw refused('chunk.name', 'must be a plain file name without folders');
    if (this.#files.has(name)) throw refused('chunk.name', `names ${name} a second time`);
    if (this.#files.size >= maxFiles) throw refused('chunk.name', `begins more than ${maxFiles} files`);
    this.#announced += size;
    if (this.#announced > this.#maxBytes) {
      throw refused('chunk.size', `makes ${this.#announced} bytes; at most ${this.#maxBytes} are taken`);
    }
    this.#current = { name, bytes: Buffer.alloc(size), filled: 0 };
  }

  #end(): void {
    if (this.#current === undefined) return;
    const { name, bytes, filled } = this.#current;
    if (filled < bytes.length) {
      throw refused('chunk.data', `ends ${name} after ${filled} of the ${bytes.length} bytes announced`);
    }
    this.#files.set(name, bytes);
    this.#current = undefined;
  }
}

function refused(field: string, description: string): HoneError {
  return new HoneError('INVALID_REQUEST', `${field} ${description}`, { violations: [{ field, description }] });
}
