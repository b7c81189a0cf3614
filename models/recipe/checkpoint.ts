/** The recipe's checkpoint: weights, optimizer moments and curve in one safetensors file that is replaced atomically. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { AdamWState, Parameters } from '../../src/learner/index.js';
import { decodeSafeTensors, encodeSafeTensors, type SafeTensor, writeFileDurably } from '../../src/versions/index.js';
import type { CurvePoint } from './curve.js';

interface Checkpoint<Point = CurvePoint> {
  readonly parameters: Parameters;
  readonly optimizer: AdamWState;
  readonly curve: Point[];
}

export async function saveCheckpoint<Point>(
  path: string,
  { parameters, optimizer, curve }: Checkpoint<Point>,
): Promise<void> {
  const tensors = new Map<string, SafeTensor>();
  for (const [name, { dims, data }] of parameters) {
    tensors.set(`weight ${name}`, { dims, data });
    const moments = optimizer.moments.get(name);
    if (moments) {
      tensors.set(`first ${name}`, { dims, data: moments.first });
      tensors.set(`second ${name}`, { dims, data: moments.second });
    }
  }
  await writeFileDurably(
    path,
    encodeSafeTensors(tensors, { step: String(optimizer.step), curve: JSON.stringify(curve) }),
  );
}

/** Reads the checkpoint at `path`. Returns undefined if there is none. */
export async function loadCheckpoint<Point = CurvePoint>(path: string): Promise<Checkpoint<Point> | undefined> {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = decodeSafeTensors(await readFile(path));
  const parameters: Parameters = new Map();
  const optimizer: AdamWState = { step: Number(metadata.step), moments: new Map() };
  for (const [key, { dims, data }] of tensors) {
    if (!key.startsWith('weight ')) continue;
    const name = key.slice('weight '.length);
    parameters.set(name, { dims, data });
    const first = tensors.get(`first ${name}`)?.data;
    const second = tensors.get(`second ${name}`)?.data;
    if (first && second) optimizer.moments.set(name, { first, second });
  }
  return { parameters, optimizer, curve: JSON.parse(metadata.curve ?? '[]') };
}
