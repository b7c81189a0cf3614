import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createSession, type Graph, type Node, readModel } from '../../../src/onnx/index.js';
import { toDecodeGraph } from '../../../src/policy/graph/decode-graph.js';
import { createDecoder, Decoder } from '../../../src/policy/graph/decoder.js';
import { zeroAdapter } from '../../../src/versions/index.js';
import { tinyDirectory } from '../../support/tiny.js';

const modelPath = join(tinyDirectory, 'onnx/model.onnx');
let tiny: Graph;

beforeAll(async () => {
  tiny = await readModel(modelPath);
});

const count = (graph: Graph, op: string): number => graph.nodes.filter((node) => node.op === op).length;

describe('the decode graph', () => {
  test('has four products with weights per layer, because q, k and v are joined, and gate and up', () => {
    const { graph, groups, layers } = toDecodeGraph(tiny, 128, false);
    expect(groups.map(({ members }) => members.map(({ module }) => module.split('.').at(-1))).slice(0, 4)).toEqual([
      ['q_proj', 'k_proj', 'v_proj'],
      ['o_proj'],
      ['gate_proj', 'up_proj'],
      ['down_proj'],
    ]);
    // Attention has two more products per layer, and the head is the last one.
    expect(count(graph, 'MatMul')).toBe(layers * (4 + 2) + 1);
  });

  test('has one output for the keys and values of all layers', () => {
    expect([...toDecodeGraph(tiny, 128).graph.outputs.keys()]).toEqual(['logits', 'top_probability', 'new_key_values']);
  });

  test('takes two adapter tensors per product, or none if it is made without adapters', () => {
    const inputs = (adapters: boolean) =>
      [...toDecodeGraph(tiny, 128, adapters).graph.inputs.keys()].filter((name) => name.includes('lora'));
    expect(inputs(true)).toHaveLength(2 * 4 * 2);
    expect(inputs(false)).toHaveLength(0);
  });

  test('fuses residual sums with the norms after them', () => {
    const { graph, layers } = toDecodeGraph(tiny, 128);
    expect(count(graph, 'SkipSimplifiedLayerNormalization')).toBe(2 * layers);
    expect(count(graph, 'SimplifiedLayerNormalization')).toBe(1);
  });

  test('does not make tokens rows of one matrix if an operator combines the tokens of a row', async () => {
    // The mean over the tokens of a row is multiplied by zero, so that it changes no logits.
    const graph = tiny.clone();
    const norm = graph.nodes.find(({ op }) => op === 'SimplifiedLayerNormalization') as Node;
    const [hidden] = norm.inputs as [string];
    const mean = graph.add('ReduceMean', [hidden, graph.int64([1])]);
    const same = graph.add('Add', [hidden, graph.add('Mul', [mean, graph.float(0)])]);
    graph.replaceUses(hidden, same, ({ outputs }) => outputs.includes(same) || outputs.includes(mean));
    expect(count(toDecodeGraph(graph, 128).graph, 'Gemm')).toBe(0);
    expect(count(toDecodeGraph(tiny, 128).graph, 'Gemm')).toBe(8);
    const logits = await Promise.all(
      [graph, tiny].map(async (source) => {
        const decode = toDecodeGraph(source, 128);
        const decoder = new Decoder(await createSession(decode.graph, { threads: 1 }), decode);
        const adapter = zeroAdapter(decoder.targets, 2, 1);
        for (const { data } of adapter.tensors.values()) data.set(data.map((_, i) => Math.sin(i) / 10));
        return (await decoder.prefill([5, 17, 3, 99], decoder.feedsOf(adapter))).logits.data;
      }),
    );
    const [apart, together] = logits as [Float32Array, Float32Array];
    for (const [i, value] of apart.entries()) expect(value).toBeCloseTo(together[i] as number, 4);
  });
});

describe('a decoder without adapters', () => {
  const open = () => createDecoder({ modelPath, contextLength: 128, threads: 1, spin: false, adapters: false });

  test('computes the logits of the zero adapter', async () => {
    const [without, fed] = [
      await open(),
      await createDecoder({ modelPath, contextLength: 128, threads: 1, spin: false }),
    ];
    const zero = zeroAdapter(without.targets, 4, 2);
    const tokens = [5, 17, 3, 99];
    expect(without.feedsOf(zero)).toEqual({});
    const logits = async (decoder: typeof fed) => [
      ...(await decoder.prefill(tokens, decoder.feedsOf(zero))).logits.data,
    ];
    const [plain, adapted] = [await logits(without), await logits(fed)];
    for (const [i, value] of plain.entries()) expect(value).toBeCloseTo(adapted[i] as number, 5);
  });

  test('refuses any other adapter', async () => {
    const decoder = await open();
    const adapter = zeroAdapter(decoder.targets, 4, 2);
    const [name] = [...adapter.tensors.keys()].filter((key) => key.endsWith('lora_B'));
    (adapter.tensors.get(name as string)?.data as Float32Array)[3] = 0.1;
    expect(() => decoder.feedsOf(adapter)).toThrowError(expect.objectContaining({ code: 'ADAPTER_MISMATCH' }));
  });
});
