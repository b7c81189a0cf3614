/** Plans float32 weights that are decoded from codes. */

import { elementCount, type Tensor } from '../../onnx/index.js';
import { type PlannedWeight, plainWeight, type RowSource, transposedWeight } from '../weights/planned-weights.js';
import type { NumberBook } from './number-book.js';
import { type CodeScale, readCodes } from './stored-codes.js';

/** The float32 initializer with the dims of its codes. */
export function decodedWeight(book: NumberBook, name: string, codes: Tensor, scale: CodeScale): PlannedWeight {
  const width = codes.dims.at(-1) ?? 1;
  const rows = elementCount(codes.dims) / width;
  return plainWeight(name, codes.dims, {
    name,
    rows,
    width,
    read: async (first, count) =>
      scale.decode(await readCodes(book.reader, codes, first * width, count * width), first * width),
  });
}

/** The initializer [in, out] of rows [out, in]. */
export function decodedMatrix(name: string, source: Omit<RowSource, 'name'>): PlannedWeight {
  return transposedWeight(name, { ...source, name });
}
