/** Codes of any bits and values, decoded by a conversion, compared with plain decoders of the formats. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bnb4Numbers } from '../../src/conversion/numbers/bits-and-bytes.js';
import { float32Tensor, float32Values, Graph, microsoft } from '../../src/onnx/index.js';
import { decodeQuantizedProducts } from '../../src/package/index.js';
import { convert, nibbles, sampled, sampledInts, tensor } from '../support/conversion/numbers.js';

const sizes = fc.record({
  K: fc.integer({ min: 1, max: 70 }),
  N: fc.integer({ min: 1, max: 9 }),
  seed: fc.nat(1000),
  blockSize: fc.constantFrom(16, 32, 64),
});

function graphOf(K: number, N: number): Graph {
  const graph = new Graph();
  graph.producer = 'an exporter';
  graph.inputs.set('x', { type: 'float32', dims: ['rows', K] });
  graph.outputs.set('y', { type: 'float32', dims: ['rows', N] });
  return graph;
}

/** The weight [K, N] of the only product. */
async function weightOf(graph: Graph): Promise<Float32Array> {
  const converted = await convert(graph);
  await using _ = await decodeQuantizedProducts(converted);
  const [name = ''] = converted.nodes.filter(({ op }) => op === 'MatMul').map(({ inputs }) => inputs[1] ?? '');
  const { dims, data } = converted.initializers.get(name) as { dims: readonly number[]; data: object };
  if (data instanceof Uint8Array) return float32Values({ type: 'float32', dims, data });
  throw new Error('a weight of this size is in the model');
}

it('codes of bitsandbytes are numbers of the table, times the magnitude of their block', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.constantFrom(0, 1), async ({ K, N, seed, blockSize }, type) => {
      const graph = graphOf(K, N);
      const count = K * N;
      const codes = sampledInts(count, 0, 15, seed);
      // The first of two codes is in the high half.
      const swapped = nibbles(
        codes.map((_, i) => codes[i ^ 1] ?? 0).concat(count % 2 === 0 ? [] : [codes.at(-1) ?? 0]),
      );
      const magnitudes = sampled(Math.ceil(count / blockSize), seed + 1);
      graph.initializers.set('w_Bnb4', tensor('uint8', [swapped.length], swapped));
      graph.initializers.set('w_absmax', float32Tensor(magnitudes, [magnitudes.length]));
      graph.add('MatMulBnb4', ['x', 'w_Bnb4', 'w_absmax'], {
        domain: microsoft,
        attributes: { K: { i: K }, N: { i: N }, block_size: { i: blockSize }, quant_type: { i: type } },
        outputs: ['y'],
      });
      const expected = new Float32Array(count);
      for (let at = 0; at < count; at++) {
        const [out, k] = [Math.floor(at / K), at % K];
        const number = bnb4Numbers[type]?.[codes[at] as number] as number;
        expected[k * N + out] = number * (magnitudes[Math.floor(at / blockSize)] as number);
      }
      expect(await weightOf(graph)).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

it.each(['int4', 'uint4', 'int8', 'uint8'] as const)(
  'codes of %s keep their values in blocks of codes',
  async (type) => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async ({ K, N, seed, blockSize }, hasPoints) => {
        const graph = graphOf(K, N);
        const [low, high] = { int4: [-8, 7], uint4: [0, 15], int8: [-128, 127], uint8: [0, 255] }[type] as [
          number,
          number,
        ];
        const pack = (values: readonly number[]) =>
          type.endsWith('4') ? nibbles(values) : Uint8Array.from(values, (value) => value & 255);
        const blocks = Math.ceil(K / blockSize);
        const codes = sampledInts(K * N, low, high, seed);
        const scales = sampled(blocks * N, seed + 1);
        const points = hasPoints ? sampledInts(blocks * N, low, high, seed + 2) : null;
        graph.initializers.set('w', tensor(type, [K, N], pack(codes)));
        graph.initializers.set('scales', float32Tensor(scales, [blocks, N]));
        if (points !== null) graph.initializers.set('points', tensor(type, [blocks, N], pack(points)));
        const weight = graph.add('DequantizeLinear', ['w', 'scales', ...(points === null ? [] : ['points'])], {
          attributes: { axis: { i: 0 }, block_size: { i: blockSize } },
        });
        graph.add('MatMul', ['x', weight], { outputs: ['y'] });
        const expected = Float32Array.from(codes, (code, i) => {
          const place = Math.floor(i / N / blockSize) * N + (i % N);
          return (code - (points?.[place] ?? 0)) * (scales[place] as number);
        });
        expect((await weightOf(graph)).map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
      }),
      { numRuns: 40 },
    );
  },
);
