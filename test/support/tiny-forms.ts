/** Writes the tiny package in the forms in which people have models. */

import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { encodeModel, type Graph, readModel, type Tensor } from '../../src/onnx/index.js';
import { halves } from './conversion/numbers.js';
import { tinyDirectory } from './tiny.js';

const usual = 'onnx/model.onnx';

/** Copies the package, with its decoder at another path. */
export async function writeTinyAt(folder: string, path: string): Promise<void> {
  await cp(tinyDirectory, folder, { recursive: true });
  if (path === usual) return;
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await rename(join(folder, usual), join(folder, path));
}

/** Writes the package with all its numbers in float16. */
export async function writeTinyFloat16(folder: string, path = usual): Promise<void> {
  await writeTinyAt(folder, path);
  const graph = await readModel(join(tinyDirectory, usual));
  for (const [name, tensor] of graph.initializers) {
    if (tensor.type === 'float32') {
      graph.initializers.set(name, { type: 'float16', dims: tensor.dims, data: halves(valuesOf(tensor)) });
    }
  }
  for (const values of [graph.inputs, graph.outputs] as Graph['inputs'][]) {
    for (const [name, info] of values) if (info.type === 'float32') values.set(name, { ...info, type: 'float16' });
  }
  await writeFile(join(folder, path), encodeModel(graph));
}

/** Writes the package as the checkpoint from which an exporter would have made it. */
export async function writeTinyCheckpoint(folder: string): Promise<void> {
  await writeTinyAt(folder, usual);
  await rm(join(folder, 'onnx'), { recursive: true });
  const { initializers } = await readModel(join(tinyDirectory, usual));
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, tensor] of initializers) {
    if (!name.endsWith('.weight')) continue;
    const isProduct = name.includes('_proj');
    const bytes = new Uint8Array((isProduct ? turned(tensor) : valuesOf(tensor)).buffer);
    const shape = isProduct ? [...tensor.dims].reverse() : tensor.dims;
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat([length, json, ...parts]));
}

function valuesOf({ data }: Tensor): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint8Array.from(data as Uint8Array).buffer);
}

/** ONNX has products as [in, out], PyTorch as [out, in]. */
function turned(tensor: Tensor): Float32Array<ArrayBuffer> {
  const [rows = 0, columns = 0] = tensor.dims;
  const values = valuesOf(tensor);
  return Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number);
}
