/** Reads weights in pieces, from inside the model or from the file beside it, so that memory stays bounded. */

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import type { Graph } from './graph.js';
import { isExternal, type Tensor } from './tensor.js';

/** Bytes. */
const largestRead = 1 << 28;

/** Reads the weights of one graph. It keeps each data file open until {@link close}. */
export class WeightReader {
  readonly #directory: string;
  readonly #files = new Map<string, FileHandle>();

  constructor(graph: Graph) {
    this.#directory = graph.directory ?? '.';
  }

  /** @throws HoneError `MODEL_INVALID` if the data file ends too early or cannot be read */
  async floats(tensor: Tensor, first: number, count: number): Promise<Float32Array> {
    const bytes = await this.bytes(tensor, 4 * first, 4 * count);
    return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  }

  /** Returns a copy of the bytes, aligned to the elements. @throws HoneError `MODEL_INVALID` */
  async bytes({ data }: Tensor, start: number, length: number): Promise<Uint8Array> {
    if (!isExternal(data)) return new Uint8Array(data.subarray(start, start + length));
    const bytes = new Uint8Array(length);
    const path = join(this.#directory, data.location);
    let cause: unknown;
    try {
      const file = this.#files.get(data.location) ?? (await open(path));
      this.#files.set(data.location, file);
      let done = 0;
      let bytesRead = 1;
      // One read returns at most 2 GiB, and possibly less than was asked for.
      while (done < length && bytesRead > 0) {
        const most = Math.min(length - done, largestRead);
        ({ bytesRead } = await file.read(bytes, done, most, data.offset + start + done));
        done += bytesRead;
      }
      if (done === length) return bytes;
    } catch (error) {
      cause = error;
    }
    throw new HoneError(
      'MODEL_INVALID',
      `the weights at byte ${data.offset + start} of ${path} cannot be read; export the model again`,
      { cause },
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
    this.#files.clear();
  }
}
