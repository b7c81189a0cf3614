/** Files as the contract streams them: in pieces, one file after another. */

import type { FileChunk } from './generated/hone/v1/FileChunk.js';

/** Bytes of a piece. */
const chunkBytes = 256 * 1024;

/** The pieces of some files, one file after another; the first of each names it. */
export function* toChunks(files: Readonly<Record<string, Uint8Array>>): Generator<FileChunk> {
  for (const [name, bytes] of Object.entries(files)) {
    yield { name, size: bytes.length, data: bytes.subarray(0, chunkBytes) };
    for (let at = chunkBytes; at < bytes.length; at += chunkBytes) yield { data: bytes.subarray(at, at + chunkBytes) };
  }
}
