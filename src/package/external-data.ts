/** Finds and checks the files beside the model that hold weights (ONNX external data). */

import { stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { HoneError } from '../errors.js';
import { byteCount, type Graph, isExternal, type Tensor } from '../onnx/index.js';
import { invalidPackage, isLfsPointer, lfsPointer, readText } from './files.js';

const usualFile = 'onnx/model.onnx';
/** Bytes. A Git LFS pointer has about 130. */
const largestPointer = 1024;

/** Returns the data files that a decoder refers to, relative to the package. */
export function externalFiles(graph: Graph): string[] {
  const files = new Set<string>();
  for (const { data } of graph.initializers.values())
    if (isExternal(data)) files.add(posix.join(posix.dirname(usualFile), data.location));
  return [...files];
}

/**
 * Checks that every data file lies beside the model and contains the bytes that its tensors refer to.
 * @param modelFile the model's path in `root`, with `/`
 * @throws HoneError `PACKAGE_INVALID`
 */
export async function checkExternalData(root: string, graph: Graph, modelFile = usualFile): Promise<void> {
  const folder = posix.dirname(modelFile);
  const sizes = new Map<string, number>();
  for (const [name, tensor] of tensorsOf(graph)) {
    if (!isExternal(tensor.data)) continue;
    const { location } = tensor.data;
    if (!isFileName(location)) {
      throw invalidPackage(
        root,
        modelFile,
        `tensor ${name} is stored in "${location}", which is not a file beside the model; save the model with one data file`,
      );
    }
    const file = posix.join(folder, location);
    let size = sizes.get(file);
    if (size === undefined) {
      size = await sizeOf(root, file, name);
      sizes.set(file, size);
    }
    await checkRange(root, modelFile, file, size, name, tensor);
  }
}

function* tensorsOf(graph: Graph): Iterable<readonly [string, Tensor]> {
  yield* graph.initializers;
  for (const { name, op, attributes } of graph.nodes) {
    for (const value of Object.values(attributes)) {
      if (!('t' in value) || !isExternal(value.t.data)) continue;
      const problem = `${op} ${name} keeps a constant in external data; export constants inside the model`;
      throw new HoneError('PACKAGE_INVALID', join(graph.directory ?? '', `model.onnx: ${problem}`));
    }
  }
}

/** Rejects paths and the names that mean a folder. Links are allowed, because download caches consist of them. */
function isFileName(location: string): boolean {
  return !/[/\\\0]/.test(location) && location !== '.' && location !== '..';
}

async function sizeOf(root: string, file: string, tensor: string): Promise<number> {
  try {
    const found = await stat(join(root, file));
    if (found.isFile()) return found.size;
  } catch (cause) {
    throw invalidPackage(
      root,
      file,
      `is missing, but tensor ${tensor} is stored in it; copy it beside model.onnx`,
      cause,
    );
  }
  throw invalidPackage(
    root,
    file,
    `is not a file, but tensor ${tensor} is stored in it; copy the data file beside model.onnx`,
  );
}

async function checkRange(
  root: string,
  modelFile: string,
  file: string,
  size: number,
  name: string,
  { type, dims, data }: Tensor,
): Promise<void> {
  if (!isExternal(data)) return;
  const { offset, length } = data;
  const needed = byteCount(type, dims);
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== needed) {
    throw invalidPackage(
      root,
      modelFile,
      `tensor ${name} [${dims}] of ${type} needs ${needed} bytes, but refers to ${length} at ${offset} of ${file}; ` +
        'export the model again',
    );
  }
  if (offset + length <= size) return;
  if (size < largestPointer && isLfsPointer(await readText(root, file))) throw invalidPackage(root, file, lfsPointer);
  throw invalidPackage(
    root,
    file,
    `has ${size} bytes, but tensor ${name} ends at ${offset + length}; it is cut off or belongs to another model: ` +
      'download or export it again',
  );
}
