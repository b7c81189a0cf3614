/** Decoders that onnxruntime may accept, but that Hone would compute differently, are refused when they are loaded. */

import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeModel, type Graph, readModel, type Tensor } from '../../../src/onnx/index.js';
import { findLinears, loadPackage } from '../../../src/package/index.js';
import { normalizeDecoder } from '../../../src/package/normalize.js';
import { temporaryFolder } from '../../support/folders.js';
import { oddDecoders } from '../../support/odd-decoders.js';
import { attribute, byName, type OddDecoder, upProjection } from '../../support/odd-graphs.js';
import { type QuantizedFolders, quantizeForTest } from '../../support/quantized.js';
import { tinyDirectory } from '../../support/tiny.js';

let directory: string;

beforeAll(async () => {
  directory = join(temporaryFolder(), 'tiny');
  await cp(tinyDirectory, directory, { recursive: true });
});

const tiny = (): Promise<Graph> => readModel(join(tinyDirectory, 'onnx/model.onnx'));

async function write(apply: (graph: Graph) => void): Promise<void> {
  const graph = await tiny();
  apply(graph);
  graph.prune();
  await writeFile(join(directory, 'onnx/model.onnx'), encodeModel(graph));
}

describe('loading a decoder', () => {
  test.each(oddDecoders)('refuses $name', async ({ apply, mentions, code = 'OPERATOR_UNSUPPORTED' }) => {
    await write(apply);
    const error = await loadPackage(directory).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: 'HoneError', code });
    expect(error.message).toContain(join(directory, 'onnx/model.onnx'));
    for (const words of mentions) expect(error.message).toContain(words);
  });

  test('accepts attributes that are set to their defaults', async () => {
    await write((graph) => {
      graph.nodes = graph.nodes.map((node) => {
        const { attributes } = node;
        if (node.op === 'GroupQueryAttention') {
          const none = {
            smooth_softmax: { i: -1 },
            softcap: { f: 0 },
            local_window_size: { i: -1 },
            do_rotary: { i: 0 },
          };
          return { ...node, attributes: { ...attributes, ...none, causal: { i: 1 }, k_quant_type: { s: 'NONE' } } };
        }
        if (node.op !== 'RotaryEmbedding') return node;
        return { ...node, attributes: { ...attributes, scale: { f: 1 }, interleaved: { i: 0 } } };
      });
    });
    await expect(loadPackage(directory)).resolves.toMatchObject({ name: 'tiny' });
  });

  test('does not check nodes that the logits do not need', async () => {
    await write((graph) => {
      graph.outputs.set(graph.add('HardSwish', ['model.norm.weight']), { type: 'float32', dims: [32] });
    });
    await expect(loadPackage(directory)).resolves.toMatchObject({ name: 'tiny' });
  });

  test('drops nodes that nothing reads before it checks operators', async () => {
    const graph = await tiny();
    const attention = graph.nodes.find(({ op }) => op === 'GroupQueryAttention');
    if (attention === undefined) throw new Error('the fixture has no attention');
    const outputs = ['a', 'b', 'c'].map((name) => graph.freshName(name));
    graph.nodes.push({ ...attention, outputs, attributes: { ...attention.attributes, softcap: { f: 9 } } });
    expect(normalizeDecoder(graph).nodes.filter(({ op }) => op === 'GroupQueryAttention')).toHaveLength(2);
  });
});

const isLookup = ({ op }: { op: string }): boolean => op === 'GatherBlockQuantized';
const quantized: OddDecoder[] = [
  {
    name: 'a product with an order of its input features',
    apply: (graph) => {
      graph.initializers.set('odd.order', { type: 'int32', dims: [32], data: new Uint8Array(4 * 32) });
      graph.nodes = graph.nodes.map((node) =>
        node.name === upProjection ? { ...node, inputs: [...node.inputs, '', 'odd.order'] } : node,
      );
    },
    mentions: ['MatMulNBits', upProjection, 'input 4 (odd.order)', 'g_idx', 'hone quantize'],
  },
  {
    name: 'weights in the layout of one device',
    apply: attribute(byName(upProjection), 'weight_prepacked', { i: 1 }),
    mentions: ['MatMulNBits', upProjection, 'weight_prepacked (1)', 'layout of one device'],
  },
  {
    name: 'codes of 2 bits',
    apply: attribute(byName(upProjection), 'bits', { i: 2 }),
    mentions: ['MatMulNBits', upProjection, 'bits (2)', '8 or 4 bits'],
  },
  {
    name: 'a block size that does not fit the scales',
    apply: attribute(byName(upProjection), 'block_size', { i: 32 }),
    mentions: ['MatMulNBits', upProjection, 'input 2 is [48, 2]', 'block_size 32', 'quantise'],
  },
  {
    name: 'an embedding with blocks across its rows',
    apply: attribute(isLookup, 'quantize_axis', { i: 0 }),
    mentions: ['GatherBlockQuantized', 'quantize_axis (0)'],
  },
  {
    name: 'an embedding of 2 bits',
    apply: attribute(isLookup, 'bits', { i: 2 }),
    mentions: ['GatherBlockQuantized', 'bits (2)', '8 or 4 bits'],
  },
];

describe('loading a quantised decoder', () => {
  let folders: QuantizedFolders;
  beforeAll(async () => {
    folders = await quantizeForTest(tinyDirectory, { bits: 4, blockSize: 16 });
  });

  test.each(quantized)('refuses $name', async ({ apply, mentions }) => {
    const path = join(folders.quantized, 'onnx/model.onnx');
    const whole = await readModel(path);
    const graph = whole.clone();
    apply(graph);
    await writeFile(path, encodeModel(graph));
    const error = await loadPackage(folders.quantized).then(
      () => undefined,
      (thrown) => thrown,
    );
    await writeFile(path, encodeModel(whole));
    expect(error).toMatchObject({ name: 'HoneError', code: 'OPERATOR_UNSUPPORTED' });
    for (const words of mentions) expect(error.message).toContain(words);
  });

  test('finds the modules of weights that another quantiser named after their nodes', async () => {
    const graph = await readModel(join(folders.quantized, 'onnx/model.onnx'));
    const modules = findLinears(graph).map(({ module }) => module);
    for (const { module, weight, node } of findLinears(graph)) {
      const name = `${module.replace('self_attn', 'attn')}.MatMul.weight_Q4`;
      const tensor = graph.initializers.get(weight) as Tensor;
      graph.initializers.delete(weight);
      graph.initializers.set(name, tensor);
      graph.replaceNode(node, [
        {
          ...node,
          name: `/${module.replace('self_attn', 'attn').replace(/\.(?!\d)/g, '/')}/MatMul_Q4`,
          inputs: [node.inputs[0] as string, name, ...node.inputs.slice(2)],
        },
      ]);
    }
    expect(findLinears(normalizeDecoder(graph)).map(({ module }) => module)).toEqual(modules);
  });

  test('accepts a package that hone quantize wrote', async () => {
    await expect(loadPackage(folders.quantized)).resolves.toMatchObject({ name: 'quantized' });
  });
});
