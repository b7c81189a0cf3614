/** Assembles files from a stream of pieces. */

import type { FileChunk__Output } from '../proto/generated/hone/v1/FileChunk.js';
import { HoneClientError } from './errors.js';
import type { AdapterFiles } from './types/index.js';

/** Assembles files from their pieces. @throws HoneClientError `DATA_LOSS` if a file is not complete */
export async function fromChunks(
  chunks: AsyncIterable<{ readonly chunk: FileChunk__Output | null }>,
): Promise<AdapterFiles> {
  const files = new Map<string, { readonly size: number; readonly parts: Buffer[] }>();
  let current: { readonly size: number; readonly parts: Buffer[] } | undefined;
  for await (const { chunk } of chunks) {
    if (chunk === null) continue;
    if (chunk.name !== '') {
      current = { size: chunk.size, parts: [] };
      files.set(chunk.name, current);
    }
    current?.parts.push(chunk.data);
  }
  return Object.fromEntries(
    [...files].map(([name, { size, parts }]) => {
      const bytes = Buffer.concat(parts);
      if (bytes.length !== size) {
        throw new HoneClientError(`${name} came with ${bytes.length} of ${size} bytes: export it again`, {
          code: 'DATA_LOSS',
          status: 'DATA_LOSS',
        });
      }
      return [name, bytes];
    }),
  );
}
