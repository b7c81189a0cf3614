/**
 * Decoders that contain one thing that Hone does not compute. Each row edits the graph of the tiny package. onnxruntime
 * may accept the result, so that serving it would produce other tokens than the file does, without an error.
 */

import { float32Tensor } from '../../src/onnx/index.js';
import {
  after,
  attention,
  attribute,
  byName,
  byOp,
  change,
  input,
  type OddDecoder,
  onTheWay,
  upProjection,
} from './odd-graphs.js';

const attentions: OddDecoder[] = [
  ...[
    ['smooth_softmax', { i: 1 }, ['(1)', 'softmax', 'serve a model']],
    ['sliding_window_cache', { i: 1 }, ['without a local_window_size', 'export']],
    ['causal', { i: 0 }, ['later tokens', 'causal decoder']],
    ['qk_output', { i: 1 }, ['output of the scores', 'export']],
    ['kv_cache_bit_width', { i: 8 }, ['quantised cache', 'float32 cache']],
    ['k_quant_type', { s: 'PER_TENSOR' }, ['"PER_TENSOR"', 'quantised cache']],
    ['v_quant_type', { s: 'PER_CHANNEL' }, ['quantised cache']],
    ['of_tomorrow', { i: 1 }, ['does not know', 'export the model without it']],
  ].map(
    ([name, value, mentions]): OddDecoder => ({
      name: `attention with ${name}`,
      apply: attribute(byName(attention), name as string, value as { i: number }),
      mentions: ['GroupQueryAttention', attention, name as string, ...(mentions as string[])],
    }),
  ),
  ...(
    [
      [10, [1, 4, 1, 1], ['added to the scores', 'causal mask']],
      [11, [4], ['head_sink', 'serve a model']],
      [12, [1], ['quantised cache']],
      [13, [1], ['quantised cache']],
      [16, [1], ['does not know']],
    ] as const
  ).map(
    ([index, dims, mentions]): OddDecoder => ({
      name: `attention with input ${index}`,
      apply: input(byName(attention), index, dims),
      mentions: ['GroupQueryAttention', attention, `input ${index} (odd.input)`, ...mentions],
    }),
  ),
  ...[14, 15].map(
    (index): OddDecoder => ({
      name: `attention with input ${index} alone of the two norms`,
      apply: input(byName(attention), index, [8]),
      mentions: ['GroupQueryAttention', attention, 'without one of the', 'export'],
    }),
  ),
  {
    name: 'norms of query and key in attention with a window that config.json does not have',
    apply: (graph) => {
      graph.initializers.set('odd.norm', float32Tensor(new Float32Array(8).fill(1), [8]));
      change(graph, byName(attention), ({ inputs, attributes }) => ({
        inputs: [...inputs, ...new Array<string>(14 - inputs.length).fill(''), 'odd.norm', 'odd.norm'],
        attributes: { ...attributes, local_window_size: { i: 4 } },
      }));
    },
    mentions: [attention, '4 keys', 'config.json says all keys', 'export'],
    code: 'PACKAGE_INVALID',
  },
  {
    name: 'attention with a key and no value',
    apply: (graph) => change(graph, byName(attention), ({ inputs }) => ({ inputs: inputs.toSpliced(2, 1, '') })),
    mentions: [attention, 'a key without a value'],
  },
  {
    name: 'attention with rotary tables but without do_rotary',
    apply: (graph) =>
      change(graph, byName(attention), ({ inputs }) => ({ inputs: [...inputs, 'rotary.cos', 'rotary.sin'] })),
    mentions: [attention, 'input 7 (rotary.cos)', 'do_rotary'],
  },
  {
    name: 'attention with rotary tables of two widths',
    apply: (graph) => {
      graph.initializers.set('half.cos', float32Tensor(new Float32Array(128 * 2), [128, 2]));
      graph.initializers.set('half.sin', float32Tensor(new Float32Array(128 * 3), [128, 3]));
      change(graph, byName(attention), ({ inputs, attributes }) => ({
        inputs: [...inputs, 'half.cos', 'half.sin'],
        attributes: { ...attributes, do_rotary: { i: 1 } },
      }));
    },
    mentions: [attention, 'width 2 and 3', 'heads'],
  },
  {
    name: "attention over another layer's values",
    apply: (graph) =>
      change(graph, byName(attention), ({ inputs }) => ({ inputs: inputs.toSpliced(4, 1, 'past_key_values.1.value') })),
    mentions: [attention, 'past_key_values.1.value', 'past_key_values.0.value'],
  },
  {
    name: 'attention that leaves out the last token',
    apply: after(byOp('Sub'), (graph, value) => graph.add('Sub', [value, graph.int64(1)])),
    mentions: [attention, 'the last key is 5, 5', 'does not see all tokens'],
  },
  {
    name: 'attention over a fixed number of tokens',
    apply: (graph) => {
      graph.initializers.set('odd.total', { type: 'int32', dims: [1], data: new Uint8Array(Int32Array.of(64).buffer) });
      change(graph, byName(attention), ({ inputs }) => ({ inputs: inputs.toSpliced(6, 1, 'odd.total') }));
    },
    mentions: [attention, '64 columns'],
  },
  {
    name: 'a cache whose head size neither shapes nor weights tell',
    apply: (graph) => {
      after(byName(attention), (edited, value) => edited.add('Identity', [value]))(graph);
      for (const [name, info] of graph.inputs) {
        if (name.startsWith('past_'))
          graph.inputs.set(name, { ...info, dims: [...info.dims.slice(0, 3), 'kv_cache_dim'] });
      }
    },
    mentions: [attention, 'kv_cache_dim', 'write the number', 'dim_value'],
  },
];

const turning = byOp('RotaryEmbedding');
const rotations: OddDecoder[] = [
  {
    name: 'rotated values that are scaled',
    apply: attribute(turning, 'scale', { f: 2 }),
    mentions: ['RotaryEmbedding', 'scale (2)', 'multiplied', 'export'],
  },
  {
    name: 'a rotation of rows without padding',
    apply: attribute(turning, 'is_packed_batching', { i: 1 }),
    mentions: ['RotaryEmbedding', 'is_packed_batching (1)', 'padded rows'],
  },
  {
    name: 'a rotation in an unknown pattern',
    apply: attribute(turning, 'interleaved', { i: 2 }),
    mentions: ['RotaryEmbedding', 'interleaved (2)'],
  },
  {
    name: 'rotary tables for heads of another size',
    apply: (graph) => {
      for (const table of ['half.cos', 'half.sin']) {
        graph.initializers.set(table, float32Tensor(new Float32Array(128 * 2), [128, 2]));
      }
      change(graph, turning, ({ inputs }) => ({ inputs: [...inputs.slice(0, 2), 'half.cos', 'half.sin'] }));
    },
    mentions: ['RotaryEmbedding', 'tables of width 2 and 2', 'heads have 8'],
  },
  {
    name: 'rotary positions that are token ids',
    apply: (graph) => change(graph, turning, ({ inputs }) => ({ inputs: inputs.toSpliced(1, 1, 'input_ids') })),
    mentions: ['RotaryEmbedding', 'positions depend on the token ids'],
  },
  {
    name: 'rotary positions that are counted from the attention mask',
    apply: (graph) => {
      const counted = graph.add('CumSum', ['attention_mask', graph.int64(1)]);
      change(graph, turning, ({ inputs }) => ({ inputs: inputs.toSpliced(1, 1, counted) }));
    },
    mentions: ['RotaryEmbedding', 'attention mask', 'position_ids'],
  },
  {
    name: 'rotary positions that are counted from the cache',
    apply: (graph) => {
      const past = graph.add('Shape', ['past_key_values.0.key'], { attributes: { start: { i: 2 }, end: { i: 3 } } });
      const added = graph.add('Add', ['position_ids', past]);
      change(graph, turning, ({ inputs }) => ({ inputs: inputs.toSpliced(1, 1, added) }));
    },
    mentions: ['Add', 'attention mask or the cache'],
  },
];

const norm = byOp('SimplifiedLayerNormalization');
const norms: OddDecoder[] = [
  {
    name: 'a norm over all tokens',
    apply: attribute(norm, 'axis', { i: 1 }),
    mentions: ['SimplifiedLayerNormalization', 'axis 1'],
  },
  {
    name: 'a norm with statistics in float16',
    apply: attribute(norm, 'stash_type', { i: 10 }),
    mentions: ['SimplifiedLayerNormalization', 'stash_type (10)', 'float32'],
  },
  {
    name: 'a norm whose deviation is read',
    apply: (graph) => {
      change(graph, norm, ({ outputs }) => ({ outputs: [...outputs, 'odd.deviation'] }));
      after(byName(upProjection), (_, value) => graph.add('Mul', [value, 'odd.deviation']))(graph);
    },
    mentions: ['SimplifiedLayerNormalization', 'output 1 (odd.deviation) is read'],
  },
];

const ways: OddDecoder[] = [
  {
    name: 'a sum over the tokens',
    apply: (graph) => onTheWay('CumSum', {}, graph.int64(1))(graph),
    mentions: ['CumSum', 'does not know this operator'],
  },
  {
    name: 'a mean over the tokens',
    apply: (graph) => onTheWay('ReduceMean', {}, graph.int64([1]))(graph),
    mentions: ['ReduceMean', 'axis 1', 'runs over tokens'],
  },
  {
    name: 'a softmax over the tokens',
    apply: onTheWay('Softmax', { attributes: { axis: { i: 1 } } }),
    mentions: ['Softmax', 'axis 1', 'runs over tokens'],
  },
  {
    name: 'attention in plain operators beside GroupQueryAttention',
    apply: after(byName(upProjection), (graph, value) => {
      const turned = graph.add('Transpose', [value], { attributes: { perm: { is: [0, 2, 1] } } });
      return graph.add('MatMul', [graph.add('MatMul', [value, turned]), value]);
    }),
    mentions: ['MatMul', 'two values that depend on the tokens', 'GroupQueryAttention'],
  },
  {
    name: 'a slice of the tokens',
    apply: after(byName(upProjection), (graph, value) => {
      const [start, end, axes] = [0, 1, 1].map((bound) => graph.int64([bound])) as [string, string, string];
      return graph.add('Add', [value, graph.add('Slice', [value, start, end, axes])]);
    }),
    mentions: ['Slice', 'axis 1', 'runs over tokens'],
  },
  {
    name: 'a Reshape that turns tokens into features',
    apply: after(byName(upProjection), (graph, value) =>
      graph.add('Reshape', [graph.add('Reshape', [value, graph.int64([0, 48, -1])]), graph.int64([0, -1, 48])]),
    ),
    mentions: ['Reshape', '[B, S, 48]'],
  },
  {
    name: 'a step that reads the attention mask',
    apply: after(byName(upProjection), (graph, value) => {
      const seen = graph.add('ReduceMax', [graph.add('Cast', ['attention_mask'], { attributes: { to: { i: 1 } } })]);
      return graph.add('Mul', [value, seen]);
    }),
    mentions: ['Mul', 'attention mask'],
  },
  {
    name: 'a step that reads the cache',
    apply: after(byName(upProjection), (graph, value) =>
      graph.add('Add', [value, graph.add('ReduceMax', ['present.0.key'], { attributes: { keepdims: { i: 0 } } })]),
    ),
    mentions: ['ReduceMax', 'cache'],
  },
  {
    name: 'a step in float16',
    apply: after(byName(upProjection), (graph, value) =>
      graph.add('Cast', [graph.add('Cast', [value], { attributes: { to: { i: 10 } } })], {
        attributes: { to: { i: 1 } },
      }),
    ),
    mentions: ['Cast', 'ONNX type 10', 'float32'],
  },
  {
    name: 'random noise',
    apply: after(byName(upProjection), (graph, value) =>
      graph.add('Add', [value, graph.add('RandomNormal', [], { attributes: { shape: { is: [48] } } })]),
    ),
    mentions: ['RandomNormal', 'its result is random'],
  },
  {
    name: 'an operator that Hone does not know',
    apply: onTheWay('HardSwish'),
    mentions: ['HardSwish', 'does not know this operator', 'export'],
  },
  {
    name: 'an operator with an attribute that Hone does not know',
    apply: onTheWay('Identity', { attributes: { of_tomorrow: { f: 0.5 } } }),
    mentions: ['Identity', 'of_tomorrow (0.5)', 'does not know'],
  },
  {
    name: 'operators of another domain',
    apply: (graph) => {
      graph.opsets.set('com.acme', 1);
      onTheWay('Add', { domain: 'com.acme' }, 'model.layers.0.mlp.up_proj.weight')(graph);
    },
    mentions: ['com.acme.Add', 'operators of com.acme', 'ai.onnx and com.microsoft'],
  },
  {
    name: 'operators of an older opset',
    apply: (graph) => graph.opsets.set('', 17),
    mentions: ['ai.onnx 17', 'opset 18'],
  },
  {
    name: 'logits that depend on each other',
    apply: after(
      (node) => node.outputs[0] === 'logits',
      (graph, value) => graph.add('Softmax', [value], { attributes: { axis: { i: -1 } } }),
    ),
    mentions: ['Softmax', "the product by the head's weight", 'each logit is treated by itself'],
  },
  {
    name: 'an embedding that is looked up along its other axis',
    apply: (graph) => {
      const turned = graph.add('Transpose', ['model.embed_tokens.weight'], { attributes: { perm: { is: [1, 0] } } });
      change(graph, byOp('Gather'), () => ({ inputs: [turned, 'input_ids'], attributes: { axis: { i: 1 } } }));
    },
    mentions: ['SimplifiedLayerNormalization', 'axis 2', 'runs over tokens'],
  },
];

/** All decoders that are refused when the package is loaded. */
export const oddDecoders: readonly OddDecoder[] = [...attentions, ...rotations, ...norms, ...ways];
