/** Converts the numbers of a model's file into a file beside which nothing of the original is needed. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Graph, isExternal, readModel } from '../../onnx/index.js';
import { checkExternalData } from '../../package/index.js';
import { type WriteOptions, type WrittenModel, writeModel } from '../weights/write-model.js';
import { convertNumbers } from './convert-numbers.js';

/** A change of what is written from the same file changes this number. */
const conversionVersion = 1;

/**
 * Writes `model.onnx` and `model.onnx_data` into a folder that exists. After an interruption, the next call for the same
 * file and folder goes on where this one stopped.
 * @throws HoneError `MODEL_INVALID`, `PACKAGE_INVALID` if the file or its data is damaged, `OPERATOR_UNSUPPORTED` for
 * numbers in a form that is not understood, `CANCELLED` if the signal fires
 */
export async function convertModelFile(
  modelPath: string,
  folder: string,
  options: Omit<WriteOptions, 'key'> = {},
): Promise<WrittenModel> {
  const graph = await readModel(modelPath);
  await checkExternalData(dirname(modelPath), graph, basename(modelPath));
  await using converted = await convertNumbers(graph);
  const key = await keyOf(modelPath, graph);
  return await writeModel(folder, converted.graph, converted.weights, { ...options, key });
}

/** A digest over all that decides the bytes of the weights. */
async function keyOf(modelPath: string, { initializers }: Graph): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify({ conversionVersion }));
  for await (const bytes of createReadStream(modelPath)) hash.update(bytes as Uint8Array);
  const locations = new Set<string>();
  for (const { data } of initializers.values()) if (isExternal(data)) locations.add(data.location);
  for (const location of [...locations].sort()) {
    const { size, mtimeMs } = await stat(join(dirname(modelPath), location));
    hash.update(JSON.stringify([location, size, mtimeMs]));
  }
  return hash.digest('hex');
}
