/** Writes weights of a model into a data file beside it, at page boundaries so that they can be mapped into memory. */

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ElementType, Tensor } from '../../onnx/index.js';

/** Bytes of a page. A weight that is not larger stays inside the model. */
const pageSize = 4096;

export class DataFile {
  readonly #folder: string;
  readonly #name: string;
  #file: FileHandle | undefined;
  #end = 0;
  readonly #placed = new WeakSet<object>();

  /** @param folder the folder of the model */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  /** Returns a tensor with these bytes. Few bytes stay inside the model, others are written to the file. */
  place(type: ElementType, dims: readonly number[], bytes: Uint8Array): Promise<Tensor> {
    return this.stream(type, dims, bytes.byteLength, [bytes]);
  }

  /** As {@link place}, with bytes that come in pieces. */
  async stream(
    type: ElementType,
    dims: readonly number[],
    length: number,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<Tensor> {
    const data = length <= pageSize ? await gather(length, pieces) : await this.#append(length, pieces);
    this.#placed.add(data);
    return { type, dims, data };
  }

  /** Whether this object made the tensor. */
  placed({ data }: Tensor): boolean {
    return this.#placed.has(data);
  }

  async #append(
    length: number,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<Exclude<Tensor['data'], Uint8Array>> {
    this.#file ??= await open(join(this.#folder, this.#name), 'wx');
    const offset = Math.ceil(this.#end / pageSize) * pageSize;
    await this.#file.appendFile(new Uint8Array(offset - this.#end));
    for await (const piece of pieces) await this.#file.appendFile(piece);
    this.#end = offset + length;
    return { location: this.#name, offset, length };
  }

  /** Forces what was written to the disk. */
  async flush(): Promise<void> {
    await this.#file?.sync();
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

async function gather(length: number, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
