import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { quantizeQ8, toFloat16, writeGguf } from '../../../bench/lib/gguf.js';
import { convertPackage, pairNeighbours } from '../../../bench/lib/gguf-package.js';
import { float32Values, readModel, type Tensor } from '../../../src/onnx/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { dequantizeQ8, fromFloat16, type GgufFile, readGguf } from '../../support/gguf-reader.js';
import { tinyDirectory } from '../../support/tiny.js';

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
});

describe('a GGUF file', () => {
  it('holds the given metadata, shapes and values', async () => {
    const path = join(folder, 'small.gguf');
    const matrix = Float32Array.from({ length: 64 }, (_, i) => i / 7);
    await writeGguf(
      path,
      new Map([
        ['general.architecture', { string: 'llama' }],
        ['count', { u32: 7 }],
        ['share', { f32: 0.5 }],
        ['flag', { bool: true }],
        ['names', { strings: ['a', 'Ġ\u{1f600}'] }],
        ['kinds', { i32s: [1, -2, 3] }],
      ]),
      [
        { name: 'norm', type: 'f32', dims: [3], read: async () => Float32Array.of(1, 2, 3) },
        { name: 'matrix', type: 'f32', dims: [2, 32], read: async () => matrix },
        { name: 'quantised', type: 'q8_0', dims: [2, 32], read: async () => matrix },
      ],
    );
    const file = readGguf(await readFile(path));
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.architecture': 'llama',
      count: 7,
      share: 0.5,
      flag: true,
      names: ['a', 'Ġ\u{1f600}'],
      kinds: [1, -2, 3],
    });
    expect([...file.tensors.keys()]).toEqual(['norm', 'matrix', 'quantised']);
    expect(file.tensors.get('norm')).toMatchObject({ dims: [3], values: Float32Array.of(1, 2, 3) });
    expect(file.tensors.get('matrix')).toMatchObject({ dims: [2, 32], values: matrix });
    expect(file.tensors.get('quantised')?.dims).toEqual([2, 32]);
    for (const { offset } of file.tensors.values()) expect(offset % 32).toBe(0);
  });

  it('is refused if values do not fit their shape, or rows their blocks', async () => {
    const write = (type: 'f32' | 'q8_0', dims: readonly number[], count: number) =>
      writeGguf(join(folder, 'wrong.gguf'), new Map(), [
        { name: 'w', type, dims, read: async () => new Float32Array(count) },
      ]);
    await expect(write('f32', [2, 3], 5)).rejects.toThrow(/w: \[2,3\] needs 6 values, got 5/);
    await expect(write('q8_0', [2, 48], 96)).rejects.toThrow(/w: rows of 48 values/);
  });
});

describe('q8_0', () => {
  it('restores every value to within half a step of its block', () => {
    const values = Float32Array.from({ length: 96 }, (_, i) =>
      i < 32 ? 0 : Math.sin(i * 12.9898) * (i < 64 ? 1e-3 : 40),
    );
    const restored = dequantizeQ8(quantizeQ8(values));
    for (let block = 0; block < 3; block++) {
      const part = values.subarray(32 * block, 32 * block + 32);
      const largest = Math.max(...part.map(Math.abs));
      // The bound is half a step, plus the rounding of the scale to 11 bits.
      const tolerance = largest / 254 + largest * 2 ** -11;
      for (let i = 0; i < 32; i++) {
        expect(Math.abs((restored[32 * block + i] as number) - (part[i] as number))).toBeLessThanOrEqual(tolerance);
      }
    }
  });

  it('rounds scales to the nearest float16, ties to even', () => {
    for (const value of [0, 2 ** -24, 6e-8, 1e-5, 2 ** -14, 0.1, 1 / 3, 1, 2.5, 1000.3, 65504]) {
      const back = fromFloat16(toFloat16(value));
      expect(Math.abs(back - value)).toBeLessThanOrEqual(Math.max(value * 2 ** -11, 2 ** -25));
    }
    expect(toFloat16(1)).toBe(0x3c00);
    expect(toFloat16(1 + 2 ** -11)).toBe(0x3c00);
    expect(toFloat16(1 + 3 * 2 ** -11)).toBe(0x3c02);
    // Rounding the mantissa carries into the exponent.
    expect(toFloat16(2 - 2 ** -12)).toBe(0x4000);
  });
});

describe('a package as GGUF', () => {
  let file: GgufFile;
  beforeAll(async () => {
    const path = join(folder, 'tiny.gguf');
    await convertPackage(tinyDirectory, path, 'f32');
    file = readGguf(await readFile(path));
  });

  it('has the shape of the decoder, and one token for each row of the embedding', () => {
    const embedding = file.tensors.get('token_embd.weight');
    expect(file.metadata.get('llama.embedding_length')).toBe(embedding?.dims[1]);
    expect(file.metadata.get('tokenizer.ggml.tokens')).toHaveLength(embedding?.dims[0] as number);
    expect(file.metadata.get('tokenizer.ggml.token_type')).toHaveLength(embedding?.dims[0] as number);
    const layers = file.metadata.get('llama.block_count') as number;
    expect(file.tensors.size).toBe(2 + 9 * layers);
  });

  it('holds linear weights as [out, in]', async () => {
    const graph = await readModel(join(tinyDirectory, 'onnx/model.onnx'));
    const source = graph.initializers.get('model.layers.0.mlp.up_proj.weight') as Tensor;
    const [inputs, outputs] = source.dims as [number, number];
    const values = float32Values(source);
    const written = file.tensors.get('blk.0.ffn_up.weight');
    expect(written?.dims).toEqual([outputs, inputs]);
    for (const [i, o] of [
      [0, 1],
      [inputs - 1, 2],
      [3, outputs - 1],
    ] as const) {
      expect(written?.values[o * inputs + i]).toBe(values[i * outputs + o]);
    }
  });

  it('reorders the rows of q and k, so that rotary positions pair neighbours instead of halves', () => {
    // There are two heads of four rows with one value each.
    const rows = Float32Array.of(0, 1, 2, 3, 10, 11, 12, 13);
    expect([...pairNeighbours(rows, 1, 4)]).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
  });
});
