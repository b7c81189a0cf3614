/**
 * Writes a Llama-style decoder as an ONNX file with the interface of an Optimum text-generation export.
 *
 * It has RMS norm before each block, rotary positions (rotate-half), grouped-query attention, SwiGLU, tied embeddings
 * and no biases. Fused operators of com.microsoft keep the graph small. Weights are [in, out] and have the names of the
 * Hugging Face checkpoint, so that Hone can read module paths, which adapters need, from the file.
 *
 * Inputs: input_ids, position_ids [B, S]; attention_mask [B, P + S]; past_key_values.i.key/value [B, kv, P, hd].
 * Outputs: logits [B, S, V]; present.i.key/value [B, kv, P + S, hd].
 */

import { float32Tensor, Graph, microsoft, type Tensor } from '../../src/onnx/index.js';

export interface DecoderShape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly ffnSize: number;
  readonly vocabularySize: number;
  /** Longest sequence in tokens: the length of the rotary tables. */
  readonly contextLength: number;
  readonly ropeTheta: number;
  readonly rmsNormEpsilon: number;
}

/** Returns names and shapes of the trainable weights, in the order of the forward pass. */
export function weightShapes(shape: DecoderShape): Map<string, readonly number[]> {
  const { hiddenSize: d, ffnSize: f } = shape;
  const q = shape.heads * shape.headSize;
  const kv = shape.kvHeads * shape.headSize;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [shape.vocabularySize, d]]]);
  for (let layer = 0; layer < shape.layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [d]);
    shapes.set(`${at}.self_attn.q_proj.weight`, [d, q]);
    shapes.set(`${at}.self_attn.k_proj.weight`, [d, kv]);
    shapes.set(`${at}.self_attn.v_proj.weight`, [d, kv]);
    shapes.set(`${at}.self_attn.o_proj.weight`, [q, d]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [d]);
    shapes.set(`${at}.mlp.gate_proj.weight`, [d, f]);
    shapes.set(`${at}.mlp.up_proj.weight`, [d, f]);
    shapes.set(`${at}.mlp.down_proj.weight`, [f, d]);
  }
  shapes.set('model.norm.weight', [d]);
  return shapes;
}

/** Builds the decoder's graph with the given weights, one tensor per name of {@link weightShapes}. */
export function decoderGraph(shape: DecoderShape, weights: ReadonlyMap<string, Tensor>): Graph {
  const graph = new Graph();
  graph.name = 'decoder';
  for (const name of weightShapes(shape).keys()) graph.initializers.set(name, weights.get(name) as Tensor);
  addRotaryTables(graph, shape);
  const { kvHeads, headSize } = shape;
  graph.inputs.set('input_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  graph.inputs.set('attention_mask', { type: 'int64', dims: ['batch_size', 'total_sequence_length'] });
  graph.inputs.set('position_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });

  // GroupQueryAttention needs the index of each row's last valid key and the padded length, as int32.
  const lengths = graph.add('ReduceSum', ['attention_mask', graph.int64([1])], { attributes: { keepdims: { i: 0 } } });
  const lastIndex = graph.add('Cast', [graph.add('Sub', [lengths, graph.int64(1)])], { attributes: { to: { i: 6 } } });
  const total = graph.add('Gather', [graph.add('Shape', ['attention_mask']), graph.int64(1)]);
  const totalLength = graph.add('Cast', [total], { attributes: { to: { i: 6 } } });

  let hidden = graph.add('Gather', ['model.embed_tokens.weight', 'input_ids'], { name: '/model/embed_tokens/Gather' });
  for (let layer = 0; layer < shape.layers; layer++) {
    const at = `model.layers.${layer}`;
    const linear = (module: string, input: string): string =>
      graph.add('MatMul', [input, `${at}.${module}.weight`], { name: `/${at}.${module}/MatMul`.replaceAll('.', '/') });
    const rotate = (input: string): string =>
      graph.add('RotaryEmbedding', [input, 'position_ids', 'rotary.cos', 'rotary.sin'], { domain: microsoft });

    const normed = rmsNorm(graph, shape, hidden, `${at}.input_layernorm.weight`);
    const cache = { type: 'float32', dims: ['batch_size', kvHeads, 'past_sequence_length', headSize] } as const;
    const present = { type: 'float32', dims: ['batch_size', kvHeads, 'total_sequence_length', headSize] } as const;
    graph.inputs.set(`past_key_values.${layer}.key`, cache);
    graph.inputs.set(`past_key_values.${layer}.value`, cache);
    const attention = graph.freshName('attention');
    graph.add(
      'GroupQueryAttention',
      [
        rotate(linear('self_attn.q_proj', normed)),
        rotate(linear('self_attn.k_proj', normed)),
        linear('self_attn.v_proj', normed),
        `past_key_values.${layer}.key`,
        `past_key_values.${layer}.value`,
        lastIndex,
        totalLength,
      ],
      {
        domain: microsoft,
        name: `/model/layers/${layer}/self_attn/GroupQueryAttention`,
        attributes: {
          num_heads: { i: shape.heads },
          kv_num_heads: { i: kvHeads },
          scale: { f: 1 / Math.sqrt(headSize) },
        },
        outputs: [attention, `present.${layer}.key`, `present.${layer}.value`],
      },
    );
    graph.outputs.set(`present.${layer}.key`, present);
    graph.outputs.set(`present.${layer}.value`, present);
    hidden = graph.add('Add', [hidden, linear('self_attn.o_proj', attention)]);

    const ffnInput = rmsNorm(graph, shape, hidden, `${at}.post_attention_layernorm.weight`);
    const gate = linear('mlp.gate_proj', ffnInput);
    const swish = graph.add('Mul', [gate, graph.add('Sigmoid', [gate])]);
    const gated = graph.add('Mul', [swish, linear('mlp.up_proj', ffnInput)]);
    hidden = graph.add('Add', [hidden, linear('mlp.down_proj', gated)]);
  }
  const head = graph.add('Transpose', ['model.embed_tokens.weight'], { attributes: { perm: { is: [1, 0] } } });
  const last = rmsNorm(graph, shape, hidden, 'model.norm.weight');
  graph.add('MatMul', [last, head], { name: '/lm_head/MatMul', outputs: ['logits'] });
  // Logits are the first output, as in Optimum's exports.
  const presents = [...graph.outputs];
  graph.outputs.clear();
  graph.outputs.set('logits', {
    type: 'float32',
    dims: ['batch_size', 'sequence_length', shape.vocabularySize],
  });
  for (const [name, info] of presents) graph.outputs.set(name, info);
  graph.prune();
  return graph;
}

function rmsNorm(graph: Graph, shape: DecoderShape, input: string, weight: string): string {
  return graph.add('SimplifiedLayerNormalization', [input, weight], {
    attributes: { axis: { i: -1 }, epsilon: { f: shape.rmsNormEpsilon }, stash_type: { i: 1 } },
  });
}

/** Returns cos and sin of position * theta^(-2i/hd), each [contextLength, hd/2]. */
function addRotaryTables(graph: Graph, shape: DecoderShape): void {
  const half = shape.headSize / 2;
  const dims = [shape.contextLength, half];
  const cos = new Float32Array(shape.contextLength * half);
  const sin = new Float32Array(shape.contextLength * half);
  for (let position = 0; position < shape.contextLength; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * shape.ropeTheta ** (-i / half);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  graph.initializers.set('rotary.cos', float32Tensor(cos, dims));
  graph.initializers.set('rotary.sin', float32Tensor(sin, dims));
}
