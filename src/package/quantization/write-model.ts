/** Writes the decoder's file with quantised weights. Each weight is read, encoded and written before the next one. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../../errors.js';
import { byteCount, encodeModel, type Graph, microsoft, type Tensor, WeightReader } from '../../onnx/index.js';
import { type BlockFormat, BlockQuantizer, type QuantizedWeight } from './blocks.js';
import { DataFile } from './data-file.js';
import { type QuantizationTarget, type QuantizedTensors, readCodes } from './quantized-graph.js';

export interface ModelOptions extends BlockFormat {
  readonly signal?: AbortSignal;
  /** Called after each weight with the float32 bytes that are quantised so far, and of all weights to quantise. */
  readonly onProgress?: (doneBytes: number, totalBytes: number, weight: string) => void;
}

/** The name that exporters give to the data file beside `model.onnx`. */
const dataFileName = 'model.onnx_data';
/** Most float32 values that are read at once. */
const pieceSize = 1 << 20;

/**
 * Writes `model.onnx`, and its large weights beside it, into an empty folder. Edits the graph in place.
 * @throws HoneError `PACKAGE_INVALID` if a weight has a value that is not finite, `MODEL_INVALID` if one cannot be
 * read, `CANCELLED` if the signal fires
 */
export async function writeQuantizedModel(
  graph: Graph,
  targets: readonly QuantizationTarget[],
  folder: string,
  options: ModelOptions,
): Promise<void> {
  const reader = new WeightReader(graph);
  const file = new DataFile(folder, dataFileName);
  try {
    const total = targets.reduce((sum, target) => sum + 4 * target.inFeatures * target.outFeatures, 0);
    let done = 0;
    for (const target of targets) {
      const format = formatOf(target, options);
      const codes = await encode(graph, target, reader, format, options.signal);
      readCodes(graph, target, await placeCodes(codes, target, file, format), format);
      done += 4 * target.inFeatures * target.outFeatures;
      options.onProgress?.(done, total, target.weight);
    }
    if (!graph.opsets.has(microsoft)) graph.opsets.set(microsoft, 1);
    graph.prune();
    for (const [name, tensor] of graph.initializers) {
      if (!file.placed(tensor)) graph.initializers.set(name, await carryOver(tensor, reader, file, options.signal));
    }
    await file.flush();
    await writeFile(join(folder, 'model.onnx'), encodeModel(graph));
  } finally {
    await reader.close();
    await file.close();
  }
}

/** The head and the embedding always get 8 bits. At 4 they would cost more quality than all other layers together. */
function formatOf({ head }: Pick<QuantizationTarget, 'head'>, { bits, blockSize }: BlockFormat): BlockFormat {
  return { bits: head ? 8 : bits, blockSize };
}

/** Reads a weight in pieces of whole rows and encodes them block by block. */
async function encode(
  graph: Graph,
  { weight, inFeatures, outFeatures, layout }: QuantizationTarget,
  reader: WeightReader,
  format: BlockFormat,
  signal: AbortSignal | undefined,
): Promise<QuantizedWeight> {
  const { blockSize } = format;
  const tensor = graph.initializers.get(weight) as Tensor;
  const quantizer = new BlockQuantizer(format, outFeatures, inFeatures);
  const [rows, columns] = layout === 'out-in' ? [outFeatures, inFeatures] : [inFeatures, outFeatures];
  // Blocks of a weight [in, out] run down its columns, so the height of a piece is a multiple of the block size.
  const unit = layout === 'out-in' ? 1 : blockSize;
  const height = unit * Math.max(1, Math.floor(pieceSize / (unit * columns)));
  const block = new Float32Array(blockSize);
  for (let first = 0; first < rows; first += height) {
    stopIfAborted(signal);
    const count = Math.min(height, rows - first);
    const values = await reader.floats(tensor, first * columns, count * columns);
    checkFinite(weight, values);
    if (layout === 'out-in') {
      for (let row = 0; row < count; row++) {
        for (let at = 0; at < columns; at += blockSize) {
          const length = Math.min(blockSize, columns - at);
          block.fill(0).set(values.subarray(row * columns + at, row * columns + at + length));
          quantizer.encode(first + row, at / blockSize, block);
        }
      }
    } else {
      for (let at = 0; at < count; at += blockSize) {
        const length = Math.min(blockSize, count - at);
        block.fill(0);
        for (let out = 0; out < outFeatures; out++) {
          for (let i = 0; i < length; i++) block[i] = values[(at + i) * columns + out] as number;
          quantizer.encode(out, (first + at) / blockSize, block);
        }
      }
    }
  }
  return quantizer.result;
}

function checkFinite(weight: string, values: Float32Array): void {
  // If a value is not finite, the sum is not. Finite float32 values cannot overflow a sum in float64.
  let sum = 0;
  for (const value of values) sum += value;
  if (!Number.isFinite(sum))
    throw new HoneError(
      'PACKAGE_INVALID',
      `${weight} has values that are not finite; download or export the model again`,
    );
}

async function placeCodes(
  { codes, scales }: QuantizedWeight,
  { inFeatures, outFeatures }: QuantizationTarget,
  file: DataFile,
  { bits, blockSize }: BlockFormat,
): Promise<QuantizedTensors> {
  const blocks = Math.ceil(inFeatures / blockSize);
  return {
    codes: await file.place('uint8', [outFeatures, blocks, (blockSize * bits) / 8], codes),
    scales: await file.place('float32', [outFeatures, blocks], new Uint8Array(scales.buffer)),
  };
}

/** Copies an unchanged weight to the new file. */
async function carryOver(tensor: Tensor, reader: WeightReader, file: DataFile, signal?: AbortSignal): Promise<Tensor> {
  const { type, dims } = tensor;
  const length = byteCount(type, dims);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < length; at += 4 * pieceSize) {
      stopIfAborted(signal);
      yield await reader.bytes(tensor, at, Math.min(4 * pieceSize, length - at));
    }
  }
  return file.stream(type, dims, length, pieces());
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new HoneError('CANCELLED', 'quantising was cancelled; nothing was written');
}
