/** The weights of a Hugging Face checkpoint: `model.safetensors`, or the files that its index names. */

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { decodeFloats, elementTypes, type FloatType } from '../../onnx/index.js';
import { fileExists, invalidPackage, readJson } from '../../package/index.js';
import { readHeader, type StoredTensor } from './safetensors-header.js';

/** The element types that are read, by their names in safetensors files. */
const readTypes: Readonly<Record<string, FloatType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

const singleFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\\0]+\.safetensors$/)) });

/** The tensors of a checkpoint, which are read in pieces. {@link CheckpointFiles.close} closes the files. */
export class CheckpointFiles {
  readonly directory: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #handles: ReadonlyMap<string, FileHandle>;

  private constructor(
    directory: string,
    tensors: ReadonlyMap<string, StoredTensor>,
    handles: ReadonlyMap<string, FileHandle>,
  ) {
    this.directory = directory;
    this.tensors = tensors;
    this.#handles = handles;
  }

  /** @throws HoneError `PACKAGE_INVALID` if a file is missing, damaged, or contradicts the index */
  static async open(directory: string): Promise<CheckpointFiles> {
    const map = await weightMap(directory);
    const handles = new Map<string, FileHandle>();
    const tensors = new Map<string, StoredTensor>();
    try {
      for (const file of map === null ? [singleFile] : [...new Set(map.values())].sort()) {
        const handle = await openFile(directory, file);
        handles.set(file, handle);
        for (const [name, tensor] of await readHeader(directory, file, handle)) {
          if (map !== null && map.get(name) !== file) {
            throw invalidPackage(
              directory,
              file,
              `holds tensor ${name}, which ${indexFile} expects ${map.has(name) ? `in ${map.get(name)}` : 'nowhere'}; ` +
                'download all files from the same revision',
            );
          }
          tensors.set(name, tensor);
        }
      }
      const missing = [...(map?.keys() ?? [])].find((name) => !tensors.has(name));
      if (missing !== undefined) {
        throw invalidPackage(
          directory,
          map?.get(missing) as string,
          `lacks tensor ${missing}, which ${indexFile} expects there; download all files from the same revision`,
        );
      }
    } catch (error) {
      await closeAll(handles);
      throw error;
    }
    return new CheckpointFiles(directory, tensors, handles);
  }

  /** Returns float32 values of a tensor, `count` elements from element `start` on. */
  async read(name: string, tensor: StoredTensor, start: number, count: number): Promise<Float32Array> {
    const type = readTypes[tensor.type];
    if (type === undefined) {
      throw invalidPackage(
        this.directory,
        tensor.file,
        `has ${name} in ${tensor.type}; Hone reads ${Object.keys(readTypes).join(', ')}: take a checkpoint in one of these`,
      );
    }
    const bytesEach = elementTypes[type].bytes;
    const length = count * bytesEach;
    const bytes = new Uint8Array(length);
    let done = 0;
    // One read returns at most 2 GiB, and possibly less than was asked for.
    while (done < length) {
      const { bytesRead } = await (this.#handles.get(tensor.file) as FileHandle).read(
        bytes,
        done,
        Math.min(length - done, 1 << 28),
        tensor.offset + start * bytesEach + done,
      );
      if (bytesRead === 0) throw invalidPackage(this.directory, tensor.file, 'was cut off while it was read');
      done += bytesRead;
    }
    return decodeFloats(type, bytes);
  }

  async close(): Promise<void> {
    await closeAll(this.#handles);
  }
}

/** Whether the folder has weights that {@link CheckpointFiles.open} reads. */
export async function hasCheckpoint(directory: string): Promise<boolean> {
  return (await fileExists(directory, singleFile)) || (await fileExists(directory, indexFile));
}

async function weightMap(directory: string): Promise<Map<string, string> | null> {
  // transformers prefers the single file too.
  if (await fileExists(directory, singleFile)) return null;
  if (!(await fileExists(directory, indexFile))) {
    throw invalidPackage(
      directory,
      singleFile,
      `is missing, and so is ${indexFile}; Hone reads weights as safetensors (transformers writes them with save_pretrained)`,
    );
  }
  return new Map(Object.entries((await readJson(directory, indexFile, indexSchema)).weight_map));
}

async function openFile(directory: string, file: string): Promise<FileHandle> {
  try {
    return await open(join(directory, file));
  } catch (cause) {
    throw invalidPackage(directory, file, 'cannot be read; download the missing file', cause);
  }
}

async function closeAll(handles: ReadonlyMap<string, FileHandle>): Promise<void> {
  await Promise.all([...handles.values()].map((handle) => handle.close()));
}
