/** Quantising a package: codes, files, refusals, decoding for learning, and comparing with the source. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { beforeEach, describe, expect, test } from 'vitest';
import { createSession, encodeModel, float32Values, Graph, isExternal, readModel } from '../../../src/onnx/index.js';
import {
  decodeQuantizedProducts,
  findLinears,
  loadPackage,
  quantizePackage,
  useIntegerProducts,
} from '../../../src/package/index.js';
import { BlockQuantizer } from '../../../src/package/quantization/blocks.js';
import { comparePackages, windows } from '../../../src/package/quantization/compare.js';
import { temporaryFolder } from '../../support/folders.js';
import { decodeCodes } from '../../support/quantized.js';
import { tinyDirectory } from '../../support/tiny.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder();
});

const int8 = { bits: 8, blockSize: 32, head: true } as const;

describe('a quantised block', () => {
  const encoded = (bits: 4 | 8, ...values: number[]) => {
    const quantizer = new BlockQuantizer({ bits, blockSize: 16 }, 1, 16);
    quantizer.encode(
      0,
      0,
      Float32Array.from({ length: 16 }, (_, i) => values[i] ?? 0),
    );
    return quantizer.result;
  };

  test('of 8 bits has 128 for zero, and 1 and 255 for its largest value', () => {
    const { codes, scales } = encoded(8, 1, -1, 0.5, 0);
    expect([...codes.subarray(0, 5)]).toEqual([255, 1, 192, 128, 128]);
    expect(scales[0]).toBeCloseTo(1 / 127, 7);
  });

  test('of 4 bits has two codes in a byte, the first in the low half, and 8 for zero', () => {
    const { codes, scales } = encoded(4, -8, 7, 1, 0);
    expect([...codes.subarray(0, 3)]).toEqual([0xf0, 0x89, 0x88]);
    expect(scales[0]).toBeCloseTo(1, 6);
  });

  test('of 4 bits gives its outermost code to the largest value, whatever its sign', () => {
    const { codes, scales } = encoded(4, 8, -7);
    expect(scales[0]).toBeCloseTo(-1, 6);
    expect(codes[0]).toBe(0xf0);
  });

  test.each([8, 4] as const)('of zeros at %i bits decodes to zeros', (bits) => {
    const { codes, scales } = encoded(bits);
    expect([...decodeCodes(codes, scales, { bits, blockSize: 16 }, 1, 16)]).toEqual(new Array(16).fill(0));
  });
});

describe('a quantised package', () => {
  test('names codes and scales after the weights, so that its modules are found', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, int8);
    const graph = await readModel(join(output, 'onnx/model.onnx'));
    const names = [...graph.initializers.keys()];
    expect(names).toContain('model.layers.1.mlp.down_proj.weight_Q8');
    expect(names).toContain('model.layers.1.mlp.down_proj.weight_scales');
    expect(names).not.toContain('model.layers.1.mlp.down_proj.weight');
    const plain = findLinears(await readModel(join(tinyDirectory, 'onnx/model.onnx')));
    const shape = ({ module, inFeatures, outFeatures }: (typeof plain)[number]) => [module, inFeatures, outFeatures];
    expect(findLinears(graph).map(shape)).toEqual(plain.map(shape));
  });

  test('contains a tied weight once: head and embedding read the same bytes', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, int8);
    const { initializers } = await readModel(join(output, 'onnx/model.onnx'));
    const [head, rows] = ['_Q8', '_Q8_rows'].map((end) => initializers.get(`model.embed_tokens.weight${end}`)?.data);
    expect(head).toBeDefined();
    expect(rows).toEqual(head);
    expect(head && isExternal(head)).toBe(true);
  });

  test('keeps large weights in a file beside the model, at page boundaries, and small ones inside', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, int8);
    const graph = await readModel(join(output, 'onnx/model.onnx'));
    expect(readdirSync(join(output, 'onnx')).sort()).toEqual(['model.onnx', 'model.onnx_data']);
    for (const [name, { data }] of graph.initializers) {
      if (isExternal(data)) expect(data.offset % 4096, name).toBe(0);
      else expect(data.byteLength, name).toBeLessThanOrEqual(4096);
    }
  });

  test('contains an unchanged copy of each weight that is not quantised', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, { ...int8, head: false });
    const [before, after] = await Promise.all(
      [tinyDirectory, output].map((directory) => readModel(join(directory, 'onnx/model.onnx'))),
    );
    const name = 'model.embed_tokens.weight';
    const data = after?.initializers.get(name)?.data;
    if (data === undefined || !isExternal(data)) throw new Error('the embedding is not in the data file');
    const file = readFileSync(join(output, 'onnx', data.location));
    expect(
      file
        .subarray(data.offset, data.offset + data.length)
        .equals(Buffer.from(before?.initializers.get(name)?.data as Uint8Array)),
    ).toBe(true);
  });

  test('loads as a package with a new digest that covers the data file', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, int8);
    const { digest } = await loadPackage(output);
    expect(digest).not.toBe((await loadPackage(tinyDirectory)).digest);
    const path = join(output, 'onnx/model.onnx_data');
    const bytes = readFileSync(path);
    bytes[0] = (bytes[0] as number) ^ 1;
    writeFileSync(path, bytes);
    expect((await loadPackage(output)).digest).not.toBe(digest);
  });

  test('is the same whether the source has its weights inside the model or in a data file', async () => {
    const [inside, outside, source] = ['inside', 'outside', 'source'].map((name) => join(root, name)) as [
      string,
      string,
      string,
    ];
    await quantizePackage(tinyDirectory, inside, int8);
    await cp(tinyDirectory, source, { recursive: true });
    const graph = await readModel(join(source, 'onnx/model.onnx'));
    const pieces: Uint8Array[] = [];
    let offset = 0;
    for (const [name, tensor] of graph.initializers) {
      if (!name.endsWith('.weight')) continue;
      const data = tensor.data as Uint8Array;
      pieces.push(data);
      graph.initializers.set(name, {
        ...tensor,
        data: { location: 'model.onnx_data', offset, length: data.byteLength },
      });
      offset += data.byteLength;
    }
    writeFileSync(join(source, 'onnx/model.onnx'), encodeModel(graph));
    writeFileSync(join(source, 'onnx/model.onnx_data'), Buffer.concat(pieces));
    await quantizePackage(source, outside, int8);
    expect(readFileSync(join(outside, 'onnx/model.onnx_data'))).toEqual(
      readFileSync(join(inside, 'onnx/model.onnx_data')),
    );
  });

  test('is refused as the source of another quantisation', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, int8);
    await expect(quantizePackage(output, join(root, 'again'), int8)).rejects.toThrowError(
      expect.objectContaining({ code: 'PACKAGE_INVALID', message: expect.stringContaining('already quantised') }),
    );
    expect(readdirSync(root)).toEqual(['out']);
  });

  test('leaves no files behind if quantising is cancelled', async () => {
    const signal = AbortSignal.abort();
    await expect(quantizePackage(tinyDirectory, join(root, 'out'), { ...int8, signal })).rejects.toThrowError(
      expect.objectContaining({ code: 'CANCELLED' }),
    );
    expect(readdirSync(root)).toEqual([]);
  });

  test('is not written if a weight has a value that is not finite', async () => {
    const source = join(root, 'source');
    await cp(tinyDirectory, source, { recursive: true });
    const graph = await readModel(join(source, 'onnx/model.onnx'));
    const name = 'model.layers.0.mlp.up_proj.weight';
    const tensor = graph.initializers.get(name);
    if (tensor === undefined) throw new Error(`no ${name}`);
    const values = float32Values(tensor);
    values[7] = Number.NaN;
    graph.initializers.set(name, { ...tensor, data: new Uint8Array(values.buffer) });
    writeFileSync(join(source, 'onnx/model.onnx'), encodeModel(graph));
    await expect(quantizePackage(source, join(root, 'out'), int8)).rejects.toThrowError(
      expect.objectContaining({ code: 'PACKAGE_INVALID', message: expect.stringContaining(name) }),
    );
  });

  test('replaces only a folder with an earlier quantised package, and only if forced', async () => {
    const [quantized, other] = [join(root, 'out'), join(root, 'other')];
    await quantizePackage(tinyDirectory, quantized, int8);
    await expect(quantizePackage(tinyDirectory, quantized, int8)).rejects.toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('--force') }),
    );
    const { digest } = await loadPackage(quantized);
    await quantizePackage(tinyDirectory, quantized, { ...int8, bits: 4, force: true });
    expect((await loadPackage(quantized)).digest).not.toBe(digest);
    await cp(tinyDirectory, other, { recursive: true });
    await expect(quantizePackage(tinyDirectory, other, { ...int8, force: true })).rejects.toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
    expect(existsSync(join(other, 'onnx/model.onnx'))).toBe(true);
  });
});

describe('a quantised product', () => {
  test.each([4, 8] as const)('of %i bits with zero points gives the same results when decoded', async (bits) => {
    // There are 5 blocks of 16 and the last one is not full. At 4 bits, rows of zero points end in half a byte.
    const [N, K, blocks] = [3, 70, 5];
    const byte = (i: number): number => (i * 151 + 37) % 256;
    const make = (): Graph => {
      const graph = new Graph();
      graph.inputs.set('x', { type: 'float32', dims: ['M', K] });
      const uint8 = (name: string, dims: number[]) =>
        graph.initializers.set(name, {
          type: 'uint8',
          dims,
          data: Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => byte(i + dims.length)),
        });
      uint8('w_Q', [N, blocks, 2 * bits]);
      uint8('w_zero_points', [N, Math.ceil((blocks * bits) / 8)]);
      const floats = (name: string, dims: number[]) =>
        graph.initializers.set(name, {
          type: 'float32',
          dims,
          data: new Uint8Array(
            Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => byte(i) / 2560).buffer,
          ),
        });
      floats('w_scales', [N, blocks]);
      floats('bias', [N]);
      graph.add('MatMulNBits', ['x', 'w_Q', 'w_scales', 'w_zero_points', '', 'bias'], {
        domain: 'com.microsoft',
        attributes: { K: { i: K }, N: { i: N }, bits: { i: bits }, block_size: { i: 16 } },
        outputs: ['y'],
      });
      graph.outputs.set('y', null);
      return graph;
    };
    const decoded = make();
    await using _folder = await decodeQuantizedProducts(decoded);
    expect(decoded.nodes.map(({ op }) => op)).not.toContain('MatMulNBits');
    const x = new Tensor(
      'float32',
      Float32Array.from({ length: 2 * K }, (_, i) => Math.sin(i)),
      [2, K],
    );
    const results = [];
    for (const graph of [make(), decoded]) {
      const session = await createSession(graph, { threads: 1 });
      results.push((await session.run({ x })).y?.data as Float32Array);
      await session.release();
    }
    const [expected, actual] = results as [Float32Array, Float32Array];
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 3);
  });

  test('keeps the accuracy level that the model sets', () => {
    const graph = new Graph();
    graph.initializers.set('w', { type: 'uint8', dims: [1, 1, 16], data: new Uint8Array(16) });
    const attributes = { K: { i: 16 }, N: { i: 1 }, bits: { i: 8 }, block_size: { i: 16 } };
    graph.add('MatMulNBits', ['x', 'w', 's'], { domain: 'com.microsoft', attributes });
    graph.add('MatMulNBits', ['x', 'w', 's'], {
      domain: 'com.microsoft',
      attributes: { ...attributes, accuracy_level: { i: 1 } },
    });
    // This weight is joined from two when the graph is loaded.
    graph.add('MatMulNBits', ['x', graph.add('Concat', ['w', 'w']), 's'], { domain: 'com.microsoft', attributes });
    useIntegerProducts(graph);
    const levels = graph.nodes.flatMap(({ op, attributes: of }) => (op === 'MatMulNBits' ? [of.accuracy_level] : []));
    expect(levels).toEqual([{ i: 4 }, { i: 1 }, { i: 4 }]);
  });
});

describe('comparing two packages', () => {
  test('finds no difference between a package and itself, and counts the predictions asked for', async () => {
    const pkg = await loadPackage(tinyDirectory);
    const tokens = Array.from({ length: 300 }, (_, i) => (i * 37) % 256);
    const same = await comparePackages(pkg, pkg, [{ tokens, firstTarget: 1 }], { threads: 1 });
    expect(same).toMatchObject({ tokens: 299, agreement: 1, divergence: 0 });
    expect(same.cosine.worst).toBeCloseTo(1, 6);
    expect(same.loss.after).toBe(same.loss.before);
    const tail = await comparePackages(pkg, pkg, [{ tokens: tokens.slice(0, 100), firstTarget: 90 }], { threads: 1 });
    expect(tail.tokens).toBe(10);
  });

  test('finds a small difference between a package and its quantised form', async () => {
    const output = join(root, 'out');
    await quantizePackage(tinyDirectory, output, { ...int8, bits: 4 });
    const texts = [{ tokens: Array.from({ length: 100 }, (_, i) => (i * 37) % 256), firstTarget: 1 }];
    const { cosine, divergence } = await comparePackages(
      await loadPackage(tinyDirectory),
      await loadPackage(output),
      texts,
      {
        threads: 1,
      },
    );
    expect(cosine.mean).toBeGreaterThan(0.9);
    expect(cosine.mean).toBeLessThan(0.99999);
    expect(cosine.worst).toBeLessThan(cosine.mean);
    expect(divergence).toBeGreaterThan(0);
  });

  test('cuts a text that is longer than the context, and predicts every token once', () => {
    const tokens = Array.from({ length: 25 }, (_, i) => i);
    const pieces = [...windows({ tokens, firstTarget: 12 }, 10)];
    const predicted = pieces.flatMap((piece) => piece.tokens.slice(piece.firstTarget));
    expect(predicted).toEqual(tokens.slice(12));
    expect(Math.max(...pieces.map((piece) => piece.tokens.length))).toBeLessThanOrEqual(11);
  });
});
