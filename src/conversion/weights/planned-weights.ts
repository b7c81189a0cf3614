/**
 * Weights of the graph that is being built, as plans: which tensor of the checkpoint becomes which initializers, and in
 * which pieces they are computed. Nothing is read until {@link PlannedWeight.pieces} is walked.
 */

import { HoneError } from '../../errors.js';
import { byteCount, type ElementType, type Tensor } from '../../onnx/index.js';
import { type BlockFormat, BlockQuantizer } from '../../package/index.js';

/** An initializer whose bytes are known once its weight is written. */
export interface PlannedTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

/** Initializers that are computed together, one after another. */
export interface PlannedWeight {
  readonly tensors: readonly PlannedTensor[];
  /** The bytes of all tensors in order. A piece belongs to one tensor. */
  pieces(): AsyncIterable<Uint8Array>;
}

/** An initializer without bytes. `location` names the planned tensor whose place it gets. */
export function pending(type: ElementType, dims: readonly number[], location: string): Tensor {
  return { type, dims, data: { location, offset: 0, length: 0 } };
}

/** Rows [count, width] of a matrix that is computed or read in pieces. */
export interface RowSource {
  readonly name: string;
  readonly rows: number;
  readonly width: number;
  read(first: number, count: number): Promise<Float32Array>;
}

/** Most float32 values in a piece. Transposing needs two such pieces. */
const pieceValues = 1 << 23;

export function bytesOf({ type, dims }: PlannedTensor): number {
  return byteCount(type, dims);
}

/** A float32 initializer [rows, width], or of other dims with the same elements, as the source has it. */
export function plainWeight(name: string, dims: readonly number[], source: RowSource): PlannedWeight {
  return {
    tensors: [{ name, type: 'float32', dims }],
    async *pieces() {
      for await (const { values } of rowsOf(source, pieceValues)) yield bytes(values);
    },
  };
}

/** A float32 initializer [width, rows]: the source turned over. */
export function transposedWeight(name: string, source: RowSource): PlannedWeight {
  const { rows, width } = source;
  return {
    tensors: [{ name, type: 'float32', dims: [width, rows] }],
    async *pieces() {
      const height = Math.max(1, Math.min(width, Math.floor(pieceValues / rows)));
      for (let first = 0; first < width; first += height) {
        // Each piece walks over the whole source, because its rows are columns there.
        const count = Math.min(height, width - first);
        const turned = new Float32Array(count * rows);
        for await (const { values, first: from, count: read } of rowsOf(source, pieceValues)) {
          for (let i = 0; i < count; i++) {
            const row = i * rows + from;
            for (let j = 0; j < read; j++) turned[row + j] = values[j * width + first + i] as number;
          }
        }
        yield bytes(turned);
      }
    },
  };
}

/**
 * Codes and scales of a weight [out, in] whose rows the source has, as `hone quantize` writes them.
 * @param name of the float32 weight
 */
export function quantizedWeight(name: string, source: RowSource, format: BlockFormat): PlannedWeight {
  const { rows, width } = source;
  const { bits, blockSize } = format;
  const blocks = Math.ceil(width / blockSize);
  return {
    tensors: [
      { name: `${name}_Q${bits}`, type: 'uint8', dims: [rows, blocks, (blockSize * bits) / 8] },
      { name: `${name}_scales`, type: 'float32', dims: [rows, blocks] },
    ],
    async *pieces() {
      const scales = new Float32Array(rows * blocks);
      const block = new Float32Array(blockSize);
      for await (const { values, first, count } of rowsOf(source, pieceValues / 8)) {
        const quantizer = new BlockQuantizer(format, count, width);
        for (let row = 0; row < count; row++) {
          for (let at = 0; at < width; at += blockSize) {
            const length = Math.min(blockSize, width - at);
            block.fill(0).set(values.subarray(row * width + at, row * width + at + length));
            quantizer.encode(row, at / blockSize, block);
          }
        }
        scales.set(quantizer.result.scales, first * blocks);
        yield quantizer.result.codes;
      }
      yield bytes(scales);
    },
  };
}

async function* rowsOf(source: RowSource, mostValues: number) {
  const height = Math.max(1, Math.floor(mostValues / source.width));
  for (let first = 0; first < source.rows; first += height) {
    const count = Math.min(height, source.rows - first);
    const values = await source.read(first, count);
    checkFinite(source.name, values);
    yield { values, first, count };
  }
}

function checkFinite(name: string, values: Float32Array): void {
  // If a value is not finite, the sum is not. Finite float32 values cannot overflow a sum in float64.
  let sum = 0;
  for (const value of values) sum += value;
  if (Number.isFinite(sum)) return;
  throw new HoneError('PACKAGE_INVALID', `${name} has values that are not finite; download or export the model again`);
}

function bytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
