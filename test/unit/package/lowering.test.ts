import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { createSession, Graph, readModel } from '../../../src/onnx/index.js';
import { attachAdapters, findAttention, findLinears } from '../../../src/package/index.js';
import { tinyDirectory } from '../../support/tiny.js';

let tiny: Graph;

beforeAll(async () => {
  tiny = await readModel(join(tinyDirectory, 'onnx/model.onnx'));
});

describe('lowering a decoder', () => {
  test('finds the attention operators in layer order', () => {
    const sites = findAttention(tiny);
    expect(sites.map(({ layer }) => layer)).toEqual([0, 1]);
    expect(sites[1]).toMatchObject({
      heads: 4,
      kvHeads: 2,
      headSize: 8,
      pastKey: 'past_key_values.1.key',
      pastValue: 'past_key_values.1.value',
      presentKey: 'present.1.key',
      presentValue: 'present.1.value',
    });
    expect(sites[1]?.scale).toBeCloseTo(1 / Math.sqrt(8), 6);
  });

  test('refuses a decoder without fused attention and names the remedy', () => {
    const graph = tiny.clone();
    graph.nodes = graph.nodes.map((node) => (node.op === 'GroupQueryAttention' ? { ...node, op: 'Attention' } : node));
    expect(() => findAttention(graph)).toThrowError(
      expect.objectContaining({ code: 'OPERATOR_UNSUPPORTED', message: expect.stringContaining('export') }),
    );
  });

  test('names linear layers after their modules and leaves out the head', () => {
    const linears = findLinears(tiny);
    expect(linears).toHaveLength(14);
    expect(linears.map(({ module }) => module)).toContain('model.layers.1.mlp.down_proj');
    expect(linears.find(({ module }) => module.endsWith('0.self_attn.k_proj'))).toMatchObject({
      inFeatures: 32,
      outFeatures: 16,
    });
  });

  test('attaches an adapter that adds scale * (x A) B', async () => {
    const graph = new Graph();
    graph.inputs.set('x', { type: 'float32', dims: ['N', 2] });
    const weight = new Uint8Array(Float32Array.of(1, 0, 0, 0, 1, 0).buffer);
    graph.initializers.set('model.layers.0.w.weight', { type: 'float32', dims: [2, 3], data: weight });
    graph.add('MatMul', ['x', 'model.layers.0.w.weight'], { outputs: ['y'] });
    graph.outputs.set('y', null);
    attachAdapters(graph, findLinears(graph), 1, 0.5);
    graph.prune();
    const session = await createSession(graph, { threads: 1 });
    const outputs = await session.run({
      x: new Tensor('float32', Float32Array.of(1, 2), [1, 2]),
      'model.layers.0.w.lora_A': new Tensor('float32', Float32Array.of(3, 4), [2, 1]),
      'model.layers.0.w.lora_B': new Tensor('float32', Float32Array.of(10, 20, 30), [1, 3]),
    });
    await session.release();
    // x A = 11; half of it times B is added to x W.
    expect([...((outputs.y as Tensor).data as Float32Array)]).toEqual([1 + 55, 2 + 110, 165]);
  });
});
