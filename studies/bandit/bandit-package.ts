/**
 * The bandit of the paper as a decoder with the interface of every package: its three tokens are the arms, and their
 * logits do not depend on the prompt. All embeddings are ones, so the output of attention is ones; one linear layer
 * with weights of zero maps them to three numbers, the logits. With the A of its adapter fixed at 1/width, the three
 * logits ARE B.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Parameters } from '../../src/learner/index.js';
import { encodeModel, float32Tensor, Graph, microsoft } from '../../src/onnx/index.js';

export const arms = 3;
const width = 8;
const module = 'model.layers.0.arms';
/** The parameter that holds the logits. */
export const logitsParameter = `${module}.lora_B`;
/** The rank and scale with which the parameters are the logits. */
export const banditAdapter = { rank: 1, scale: 1 } as const;

/** Writes `onnx/model.onnx`, the only file that an engine reads. */
export async function writeBanditPackage(directory: string): Promise<void> {
  await mkdir(join(directory, 'onnx'), { recursive: true });
  await writeFile(join(directory, 'onnx/model.onnx'), encodeModel(banditGraph()));
}

/** The uniform policy: A is 1/width, and the logits are 0. */
export function uniformLogits(): Parameters {
  return new Map([
    [`${module}.lora_A`, { dims: [width, 1], data: new Float32Array(width).fill(1 / width) }],
    [logitsParameter, { dims: [1, arms], data: new Float32Array(arms) }],
  ]);
}

function banditGraph(): Graph {
  const graph = new Graph();
  const cache = { type: 'float32', dims: ['batch_size', 1, 'past_sequence_length', width] } as const;
  graph.inputs.set('input_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  graph.inputs.set('attention_mask', { type: 'int64', dims: ['batch_size', 'total_sequence_length'] });
  graph.inputs.set('position_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  graph.inputs.set('past_key_values.0.key', cache);
  graph.inputs.set('past_key_values.0.value', cache);
  const constant = (name: string, dims: readonly number[], value: (i: number) => number): string => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => value(i));
    graph.initializers.set(name, float32Tensor(data, dims));
    return name;
  };
  const toInt32 = (value: string): string => graph.add('Cast', [value], { attributes: { to: { i: 6 } } });
  const lengths = graph.add('ReduceSum', ['attention_mask', graph.int64([1])], { attributes: { keepdims: { i: 0 } } });
  const total = graph.add('Gather', [graph.add('Shape', ['attention_mask']), graph.int64(1)]);
  const hidden = graph.add('Gather', [constant('model.embed_tokens.weight', [arms, width], () => 1), 'input_ids']);
  const attention = graph.add(
    'GroupQueryAttention',
    [
      ...[hidden, hidden, hidden, 'past_key_values.0.key', 'past_key_values.0.value'],
      toInt32(graph.add('Sub', [lengths, graph.int64(1)])),
      toInt32(total),
    ],
    {
      domain: microsoft,
      attributes: { num_heads: { i: 1 }, kv_num_heads: { i: 1 } },
      outputs: ['attention', 'present.0.key', 'present.0.value'],
    },
  );
  const output = graph.add('MatMul', [attention, constant(`${module}.weight`, [width, arms], () => 0)]);
  const head = constant('lm_head.weight', [arms, arms], (i) => (i % (arms + 1) === 0 ? 1 : 0));
  graph.add('MatMul', [output, head], { outputs: ['logits'] });
  const present = { type: 'float32', dims: ['batch_size', 1, 'total_sequence_length', width] } as const;
  graph.outputs.set('logits', { type: 'float32', dims: ['batch_size', 'sequence_length', arms] });
  graph.outputs.set('present.0.key', present);
  graph.outputs.set('present.0.value', present);
  return graph;
}
