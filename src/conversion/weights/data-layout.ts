/** Places the bytes of planned weights: small ones inside the model file, others in the data file beside it. */

import type { Graph, Tensor } from '../../onnx/index.js';
import { bytesOf, type PlannedWeight } from './planned-weights.js';

/** Bytes of a page. Weights begin at pages so that they can be mapped, and those that are not larger stay inside. */
const pageSize = 4096;

/** The name that exporters give to the data file beside `model.onnx`. */
export const dataFileName = 'model.onnx_data';

/** A weight in the data file. */
export interface PlacedWeight {
  readonly weight: PlannedWeight;
  /** The first byte of each of its tensors. */
  readonly offsets: readonly number[];
  /** Where its last tensor ends. */
  readonly end: number;
}

export interface DataLayout {
  readonly placed: readonly PlacedWeight[];
  /** Weights that are stored in the model file. */
  readonly inside: readonly PlannedWeight[];
  /** Bytes of the data file. */
  readonly bytes: number;
}

export function layOut(weights: readonly PlannedWeight[]): DataLayout {
  const placed: PlacedWeight[] = [];
  const inside: PlannedWeight[] = [];
  let end = 0;
  for (const weight of weights) {
    if (weight.tensors.every((tensor) => bytesOf(tensor) <= pageSize)) {
      inside.push(weight);
      continue;
    }
    const offsets = weight.tensors.map((tensor) => {
      const offset = Math.ceil(end / pageSize) * pageSize;
      end = offset + bytesOf(tensor);
      return offset;
    });
    placed.push({ weight, offsets, end });
  }
  return { placed, inside, bytes: end };
}

/** Gives the initializers of a graph their bytes, or their places in the data file. */
export async function resolveInitializers(graph: Graph, layout: DataLayout): Promise<void> {
  const data = new Map<string, Tensor['data']>();
  for (const { weight, offsets } of layout.placed) {
    for (const [i, tensor] of weight.tensors.entries()) {
      data.set(tensor.name, { location: dataFileName, offset: offsets[i] as number, length: bytesOf(tensor) });
    }
  }
  for (const weight of layout.inside) {
    const pieces: Uint8Array[] = [];
    for await (const piece of weight.pieces()) pieces.push(piece);
    const all = Buffer.concat(pieces);
    let at = 0;
    for (const tensor of weight.tensors) {
      data.set(tensor.name, new Uint8Array(all.subarray(at, at + bytesOf(tensor))));
      at += bytesOf(tensor);
    }
  }
  for (const [name, tensor] of graph.initializers) {
    // A pending initializer names the planned tensor whose bytes it has.
    const planned = 'location' in tensor.data ? data.get(tensor.data.location) : undefined;
    if (planned !== undefined) graph.initializers.set(name, { ...tensor, data: planned });
  }
}
