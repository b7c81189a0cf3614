/**
 * The graph for a provider without some operators computes the same; it runs here on the cpu, which has all operators.
 */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { deriveGraphs } from '../../../../src/learner/engine/onnx-engine.js';
import { fitToProvider } from '../../../../src/learner/engine/provider-graph.js';
import { packRows } from '../../../../src/learner/index.js';
import { createRandom } from '../../../../src/learner/random.js';
import { createSession, type Graph } from '../../../../src/onnx/index.js';
import { readDecoder } from '../../../../src/package/index.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
/** Operators of these graphs that onnxruntime 1.30 has no WebGPU kernel for. */
const missing = ['FusedMatMul', 'LogSoftmax', 'ConstantOfShape'];

it('webgpu gets a graph with the same gradients and without the operators that it lacks; the cpu keeps its own graph', async () => {
  const source = await readDecoder(join(root, 'test/fixtures/tiny/onnx/model.onnx'));
  const { backward } = await deriveGraphs(source, { rank: 4, scale: 2 });
  expect(await fitToProvider(backward, 'cpu')).toBe(backward);
  const fitted = await fitToProvider(backward, 'webgpu');
  expect(backward.nodes.map(({ op }) => op)).toEqual(expect.arrayContaining(missing));
  expect(fitted.nodes.filter(({ op }) => missing.includes(op))).toEqual([]);

  const feeds = feedsOf(backward);
  const [expected, actual] = [await run(backward, feeds), await run(fitted, feeds)];
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    const values = tensor.data as Float32Array;
    const others = actual[name]?.data as Float32Array;
    expect(actual[name]?.dims, name).toEqual(tensor.dims);
    const norm = Math.hypot(...values);
    expect(norm, name).toBeGreaterThan(0);
    expect(Math.hypot(...values.map((value, i) => value - (others[i] as number))) / norm, name).toBeLessThan(1e-5);
  }
});

async function run(graph: Graph, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await createSession(graph, { threads: 1 });
  try {
    return (await session.run(feeds)) as Record<string, Tensor>;
  } finally {
    await session.release();
  }
}

/** Two prompts with two completions each, random adapters and rewards. */
function feedsOf(graph: Graph): Record<string, Tensor> {
  const next = createRandom(5);
  const tokens = (count: number): number[] => Array.from({ length: count }, () => Math.floor(260 * next()));
  const prompts = [tokens(7), tokens(4)];
  const rows = [0, 0, 1, 1].map((prompt, i) => ({
    promptTokens: prompts[prompt] as number[],
    completionTokens: tokens(3 + i),
  }));
  const packed: Readonly<Record<string, Tensor>> = packRows(rows).feeds;
  return Object.fromEntries(
    [...graph.inputs].map(([name, { dims }]) => {
      const sizes = dims.map((dim) => (dim === 'R' ? rows.length : (dim as number)));
      const count = sizes.reduce((product, size) => product * size, 1);
      const value = name.includes('.lora_') ? () => 0.4 * next() - 0.2 : next;
      return [name, packed[name] ?? new Tensor('float32', Float32Array.from({ length: count }, value), sizes)];
    }),
  );
}
