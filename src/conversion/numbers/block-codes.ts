/** Plans weights in the layout of MatMulNBits from codes that a file keeps in another one. */

import { microsoft, type Node, type Tensor } from '../../onnx/index.js';
import type { PlannedTensor, PlannedWeight } from '../weights/planned-weights.js';
import type { NumberBook } from './number-book.js';
import { type CodeScale, readCodes } from './stored-codes.js';

/** A weight [in, out] in codes. */
export interface CodedWeight {
  /** The name that the weight had in float32. */
  readonly name: string;
  /** [in, out], or [out, in]. */
  readonly codes: Tensor;
  readonly layout: 'in-out' | 'out-in';
  readonly scale: CodeScale;
  /** Values of a row [out] that share a scale: a power of two, 16 or more. */
  readonly blockSize: number;
}

/** Most codes in memory at once, without those that are being read. */
const bandCodes = 1 << 26;
const readAtOnce = 1 << 22;
/** Values that share a scale where the file has one for each column: large blocks are faster. */
const largestBlock = 128;

/** Returns a block size for columns that have one scale each. */
export function wholeBlocks(inFeatures: number): number {
  let size = 16;
  while (size < inFeatures && size < largestBlock) size *= 2;
  return size;
}

/** Plans the initializers and returns the product by them, which replaces `node`. */
export function productByCodes(
  book: NumberBook,
  node: Node,
  input: string,
  output: string,
  weight: CodedWeight,
  accuracyLevel?: number,
): Node {
  const { codes, layout, blockSize } = weight;
  const [first, second] = codes.dims as [number, number];
  const [K, N] = layout === 'in-out' ? [first, second] : [second, first];
  const bits = codes.type === 'int4' || codes.type === 'uint4' ? 4 : 8;
  const planned = planCodes(book, weight, K, N, bits);
  book.add(planned);
  return {
    name: node.name,
    op: 'MatMulNBits',
    domain: microsoft,
    inputs: [input, ...planned.tensors.map(({ name }) => name)],
    outputs: [output],
    attributes: {
      K: { i: K },
      N: { i: N },
      bits: { i: bits },
      block_size: { i: blockSize },
      ...(accuracyLevel === undefined ? {} : { accuracy_level: { i: accuracyLevel } }),
    },
  };
}

function planCodes(book: NumberBook, weight: CodedWeight, K: number, N: number, bits: 4 | 8): PlannedWeight {
  const { name, codes, layout, scale, blockSize } = weight;
  const signed = codes.type === 'int8' || codes.type === 'int4';
  const middle = 2 ** (bits - 1);
  const shift = signed ? middle : 0;
  const blocks = Math.ceil(K / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const pointBytes = Math.ceil((blocks * bits) / 8);
  const [inStep, outStep] = layout === 'in-out' ? [N, 1] : [1, K];
  const firstOf = (out: number, block: number): number => out * outStep + block * blockSize * inStep;
  // Without zero points the operator takes the middle code.
  const hasPoints = !(signed && scale.isCentred);
  const tensors: PlannedTensor[] = [
    { name: book.freeName(`${name}_Q${bits}`), type: 'uint8', dims: [N, blocks, blockBytes] },
    { name: book.freeName(`${name}_scales`), type: 'float32', dims: [N, blocks] },
  ];
  if (hasPoints) tensors.push({ name: book.freeName(`${name}_zero_points`), type: 'uint8', dims: [N, pointBytes] });
  return {
    tensors,
    async *pieces() {
      const band = Math.max(1, Math.min(N, Math.floor(bandCodes / K)));
      for (let from = 0; from < N; from += band) {
        const count = Math.min(band, N - from);
        const packed = new Uint8Array(count * blocks * blockBytes);
        const put = (k: number, out: number, code: number): void => {
          const at = out * blocks * blockSize + k;
          if (bits === 8) packed[at] = code + shift;
          else packed[at >> 1] = (packed[at >> 1] as number) | ((code + shift) << (4 * (at & 1)));
        };
        if (layout === 'out-in') {
          const rows = Math.max(1, Math.floor(readAtOnce / K));
          for (let row = 0; row < count; row += rows) {
            const read = await readCodes(book.reader, codes, (from + row) * K, Math.min(rows, count - row) * K);
            for (let i = 0; i < read.length; i++) put(i % K, row + Math.floor(i / K), read[i] as number);
          }
        } else {
          // Each band walks over the whole source, because its rows are columns there.
          const rows = Math.max(1, Math.floor(readAtOnce / N));
          for (let k = 0; k < K; k += rows) {
            const height = Math.min(rows, K - k);
            const read = await readCodes(book.reader, codes, k * N, height * N);
            for (let i = 0; i < height; i++) {
              for (let out = 0; out < count; out++) put(k + i, out, read[i * N + from + out] as number);
            }
          }
        }
        yield packed;
      }
      const scales = new Float32Array(N * blocks);
      for (let i = 0; i < scales.length; i++) scales[i] = scale.scale(firstOf(Math.floor(i / blocks), i % blocks));
      yield new Uint8Array(scales.buffer);
      if (!hasPoints) return;
      const points = new Uint8Array(N * pointBytes);
      for (let out = 0; out < N; out++) {
        for (let block = 0; block < blocks; block++) {
          const point = scale.point(firstOf(out, block)) + shift;
          const at = out * pointBytes + ((block * bits) >> 3);
          points[at] = (points[at] as number) | (bits === 8 ? point : point << (4 * (block & 1)));
        }
      }
      yield points;
    },
  };
}
