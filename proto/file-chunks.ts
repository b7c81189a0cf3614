/** Cuts files into the pieces in which the contract streams them. */

import type { FileChunk } from './generated/hone/v1/FileChunk.js';

/** Size of a piece in bytes. */
const chunkBytes = 256 * 1024;

/** The pieces of the files, one file after another. The first piece of each file has its name. */
export function* toChunks(files: Readonly<Record<string, Uint8Array>>): Generator<FileChunk> {
  for (const [name, bytes] of Object.entries(files)) {
    yield { name, size: bytes.length, data: bytes.subarray(0, chunkBytes) };
    for (let at = chunkBytes; at < bytes.length; at += chunkBytes) yield { data: bytes.subarray(at, at + chunkBytes) };
  }
}
