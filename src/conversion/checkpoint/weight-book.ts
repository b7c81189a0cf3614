/**
 * Finds the tensors of a checkpoint for the modules of a decoder, checks their shapes, and plans the initializers that
 * are made of them. A tensor that no module takes is refused, because a part of the model would be missing.
 */

import { HoneError } from '../../errors.js';
import { type Graph, microsoft } from '../../onnx/index.js';
import { type BlockFormat, defaultBlockSizes } from '../../package/index.js';
import {
  type PlannedTensor,
  type PlannedWeight,
  pending,
  plainWeight,
  quantizedWeight,
  type RowSource,
  transposedWeight,
} from '../weights/planned-weights.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import type { Linear } from './decoder-plan.js';
import type { StoredTensor } from './safetensors-header.js';

export interface WeightForm {
  /** Bits of the linear layers' weights: 32 for float32. */
  readonly bits: 4 | 8 | 32;
  /** Whether head and embedding are quantised too, to 8 bits. */
  readonly head: boolean;
}

export interface TensorNames {
  /** Returns the name in the files of a tensor of the model; both are paths of modules. */
  readonly stored: (name: string) => string;
  /** Matches tensors in the files that the decoder does not need. */
  readonly unused: readonly RegExp[];
}

export class WeightBook {
  readonly weights: PlannedWeight[] = [];
  readonly #graph: Graph;
  readonly #files: CheckpointFiles;
  readonly #form: WeightForm;
  readonly #names: TensorNames;
  readonly #taken = new Set<string>();

  constructor(graph: Graph, files: CheckpointFiles, form: WeightForm, names: TensorNames) {
    this.#graph = graph;
    this.#files = files;
    this.#form = form;
    this.#names = names;
  }

  /** Adds a small tensor as it is, or with 1 added to each value. Returns the initializer's name. */
  vector(name: string, dims: readonly number[], plusOne = false): string {
    const source = this.#matrix(
      name,
      dims,
      1,
      dims.reduce((product, dim) => product * dim, 1),
    );
    return this.add(plainWeight(name, dims, plusOne ? { ...source, read: readPlusOne(source) } : source));
  }

  /** Adds a linear layer's product of `input` [B, S, in] and returns the name of the result [B, S, out]. */
  product(
    input: string,
    { module, bias, transposed = false }: Linear,
    inFeatures: number,
    outFeatures: number,
  ): string {
    const name = `${module}.weight`;
    const dims = transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
    const source = this.#matrix(name, dims, dims[0] as number, dims[1] as number);
    const node = `/${module.replace(/\.(?!\d)/g, '/')}/MatMul`;
    const { bits } = this.#form;
    let output: string;
    if (bits === 32) {
      const weight = this.add(transposed ? plainWeight(name, dims, source) : transposedWeight(name, source));
      output = this.#graph.add('MatMul', [input, weight], { name: node });
    } else {
      const rows = transposed ? turned(source) : source;
      const format = { bits, blockSize: defaultBlockSizes[bits] };
      this.add(quantizedWeight(name, rows, format));
      output = this.#productByCodes(node, input, name, rows, format);
    }
    if (!bias) return output;
    return this.#graph.add('Add', [output, this.vector(`${module}.bias`, [outFeatures])]);
  }

  /** Adds the look-up of tokens in the embedding [V, D] and returns the result's name. */
  lookup(module: string, vocabulary: number, width: number): string {
    const name = `${module}.weight`;
    const node = `/${module.replaceAll('.', '/')}/Gather`;
    const source = this.#matrix(name, [vocabulary, width], vocabulary, width);
    if (!this.#headInCodes) {
      const weight = this.add(plainWeight(name, [vocabulary, width], source));
      return this.#graph.add('Gather', [weight, 'input_ids'], { name: node });
    }
    const { bits, blockSize } = headFormat;
    const planned = quantizedWeight(name, source, headFormat);
    this.add(planned);
    const [codes, scales] = planned.tensors as readonly [PlannedTensor, PlannedTensor];
    const [, blocks = 0, blockBytes = 0] = codes.dims;
    // The same bytes as rows of codes. The writer gives both the same place.
    const rows = `${codes.name}_rows`;
    this.#graph.initializers.set(rows, pending('uint8', [vocabulary, blocks * blockBytes], codes.name));
    const looked = this.#graph.add('GatherBlockQuantized', [rows, 'input_ids', scales.name], {
      name: node,
      domain: microsoft,
      attributes: {
        gather_axis: { i: 0 },
        quantize_axis: { i: 1 },
        bits: { i: bits },
        block_size: { i: blockSize },
      },
    });
    if (width % blockSize === 0) return looked;
    const cut = [[0], [width], [-1]].map((bound) => this.#graph.int64(bound));
    return this.#graph.add('Slice', [looked, ...cut]);
  }

  /** Adds the product by the head, which may be the embedding, and returns the name of the logits. */
  head(input: string, module: string | null, embedding: string, vocabulary: number, width: number): string {
    const name = `${module ?? embedding}.weight`;
    const node = '/lm_head/MatMul';
    if (module === null && !this.#headInCodes) {
      const turnedOver = this.#graph.add('Transpose', [name], { attributes: { perm: { is: [1, 0] } } });
      return this.#graph.add('MatMul', [input, turnedOver], { name: node });
    }
    if (module === null) {
      const source = { rows: vocabulary, width };
      return this.#productByCodes(node, input, name, source, headFormat);
    }
    const source = this.#matrix(name, [vocabulary, width], vocabulary, width);
    if (this.#headInCodes) {
      this.add(quantizedWeight(name, source, headFormat));
      return this.#productByCodes(node, input, name, source, headFormat);
    }
    return this.#graph.add('MatMul', [input, this.add(transposedWeight(name, source))], { name: node });
  }

  /** Adds a table that is looked up by position, without its first rows, and returns the initializer's name. */
  positions(module: string, offset: number, rows: number, width: number): string {
    const name = `${module}.weight`;
    const source = this.#matrix(name, null, offset + rows, width);
    const shifted: RowSource = { ...source, rows, read: (first, count) => source.read(first + offset, count) };
    return this.add(plainWeight(name, [rows, width], shifted));
  }

  /** Rows of a table in the files. @throws HoneError `PACKAGE_INVALID` if there is none */
  rowsOf(module: string): number {
    return this.#find(`${module}.weight`).tensor.dims[0] ?? 0;
  }

  /** Registers a planned weight and returns the name of its first initializer. */
  add(weight: PlannedWeight): string {
    this.weights.push(weight);
    for (const tensor of weight.tensors) {
      this.#graph.initializers.set(tensor.name, pending(tensor.type, tensor.dims, tensor.name));
    }
    return (weight.tensors[0] as { name: string }).name;
  }

  /** @throws HoneError `PACKAGE_INVALID` that names a tensor which no module took */
  refuseUnused(): void {
    for (const [name, { file }] of this.#files.tensors) {
      if (this.#taken.has(name) || this.#names.unused.some((form) => form.test(name))) continue;
      throw new HoneError(
        'PACKAGE_INVALID',
        `${this.#files.directory}: ${file} holds tensor ${name}, which a model of this config.json does not have; take ` +
          'both from the same model',
      );
    }
  }

  get #headInCodes(): boolean {
    return this.#form.bits !== 32 && this.#form.head;
  }

  #productByCodes(
    node: string,
    input: string,
    name: string,
    { rows, width }: Pick<RowSource, 'rows' | 'width'>,
    { bits, blockSize }: BlockFormat,
  ): string {
    return this.#graph.add('MatMulNBits', [input, `${name}_Q${bits}`, `${name}_scales`], {
      name: node,
      domain: microsoft,
      attributes: { K: { i: width }, N: { i: rows }, bits: { i: bits }, block_size: { i: blockSize } },
    });
  }

  #find(name: string): { stored: string; tensor: StoredTensor } {
    const stored = this.#names.stored(name);
    const tensor = this.#files.tensors.get(stored);
    if (tensor !== undefined) return { stored, tensor };
    throw new HoneError(
      'PACKAGE_INVALID',
      `${this.#files.directory}: the checkpoint has no tensor ${stored}, which a model of this config.json needs; take ` +
        'both from the same model',
    );
  }

  /** @param dims expected; null for any number of rows from `rows` on */
  #matrix(name: string, dims: readonly number[] | null, rows: number, width: number): RowSource {
    const { stored, tensor } = this.#find(name);
    this.#taken.add(stored);
    const fits =
      dims === null
        ? tensor.dims.length === 2 && (tensor.dims[0] as number) >= rows && tensor.dims[1] === width
        : tensor.dims.join() === dims.join();
    if (!fits) {
      throw new HoneError(
        'PACKAGE_INVALID',
        `${this.#files.directory}: tensor ${stored} is [${tensor.dims.join(', ')}], but config.json needs ` +
          `[${(dims ?? [rows, width]).join(', ')}]; take both from the same model`,
      );
    }
    const read = (first: number, count: number) => this.#files.read(stored, tensor, first * width, count * width);
    return { name: stored, rows, width, read };
  }
}

/** The head and the embedding always get 8 bits, as `hone quantize` gives them. */
const headFormat: BlockFormat = { bits: 8, blockSize: defaultBlockSizes[8] };

const readPlusOne = (source: RowSource) => async (first: number, count: number) =>
  (await source.read(first, count)).map((value) => value + 1);

/** The columns of a matrix as rows. It reads the whole matrix for each piece; only GPT-2 keeps weights like this. */
function turned(source: RowSource): RowSource {
  return {
    name: source.name,
    rows: source.width,
    width: source.rows,
    read: async (first, count) => {
      const whole = await source.read(0, source.rows);
      const columns = new Float32Array(count * source.rows);
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < source.rows; j++) {
          columns[i * source.rows + j] = whole[j * source.width + first + i] as number;
        }
      }
      return columns;
    },
  };
}
