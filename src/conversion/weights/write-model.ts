/**
 * Writes a graph and its planned weights as `model.onnx` with one data file beside it. Memory does not grow with the
 * model. An interrupted call leaves a data file and its journal, with which the next one goes on.
 */

import { open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeModel, type Graph } from '../../onnx/index.js';
import { layOut, resolveInitializers } from './data-layout.js';
import type { PlannedWeight } from './planned-weights.js';
import { journalName, writeData } from './resumable-data.js';

export interface WriteOptions {
  /** A digest over everything that decides the bytes of the weights. A call with another key starts anew. */
  readonly key: string;
  /** The folder of the journal. Default: that of the model. */
  readonly draft?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece with the bytes of the data file that are written, and of all. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

export interface WrittenModel {
  /** Bytes of the data file. */
  readonly bytes: number;
  /** Those of them that an earlier call had written. */
  readonly resumedBytes: number;
}

/**
 * Writes the model; it is on the disk when the call resolves, and `model.onnx` appears last.
 * @param folder exists
 * @param graph its initializers that are `pending` get the places of the planned tensors
 * @throws HoneError `CANCELLED` if the signal fires, and what reading the weights throws
 */
export async function writeModel(
  folder: string,
  graph: Graph,
  weights: readonly PlannedWeight[],
  options: WriteOptions,
): Promise<WrittenModel> {
  const layout = layOut(weights);
  const draft = options.draft ?? folder;
  const resumedBytes = await writeData(layout, { ...options, draft, folder });
  await resolveInitializers(graph, layout);
  graph.directory = folder;
  const path = join(folder, 'model.onnx');
  await writeDurably(`${path}.part`, encodeModel(graph));
  await rename(`${path}.part`, path);
  await rm(join(draft, journalName));
  return { bytes: layout.bytes, resumedBytes };
}

/** Writes a whole file; it is on the disk when the call resolves. */
export async function writeDurably(path: string, data: string | Uint8Array): Promise<void> {
  await writeFile(path, data);
  await using file = await open(path, 'r+');
  await file.sync();
}
