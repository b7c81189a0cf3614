/**
 * The table of all operators that may stand between the token ids and the logits. Each row has the operator's form and
 * its flow. Operators of ai.onnx have their name as the key, those of other domains `domain.Name`.
 *
 * The operators mean what ONNX opset 18 and later, and onnxruntime's schemas for com.microsoft, define.
 */

import { microsoft, type Node } from '../../onnx/index.js';
import { biased, cast, elementwise, tokenwise } from './arithmetic-flows.js';
import type { Flow } from './flow-site.js';
import { float, int, ints, type OperatorForm, type Refusal, text } from './form.js';
import { gather, gatherQuantized } from './lookup-flows.js';
import { alongAxis, norm, reduce, skipNorm } from './norm-flows.js';
import { gemm, product, quantizedProduct } from './product-flows.js';
import { onnxRotary, rotary } from './rotary-flows.js';
import {
  concat,
  expand,
  flatten,
  reshape,
  shape,
  slice,
  split,
  squeeze,
  tile,
  transpose,
  unsqueeze,
} from './shape-flows.js';

export interface Operator extends OperatorForm {
  /** Absent for attention, in which tokens may meet. */
  readonly flow?: Flow;
}

const quantizedCache: Refusal = {
  means: 'keys and values in a quantised cache, which Hone does not compute',
  remedy: 'export the model with a float32 cache',
};
const anotherSoftmax: Refusal = {
  means: 'a softmax with an additional term in its sum, which Hone does not compute',
  remedy: 'serve a model without it',
};

const attention: Operator = {
  inputs: [
    'query',
    'key',
    'value',
    'past_key',
    'past_value',
    'seqlens_k',
    'total_sequence_length',
    'cos_cache',
    'sin_cache',
    'position_ids',
    null,
    null,
    null,
    null,
    'q_norm_weight',
    'k_norm_weight',
  ],
  outputs: ['output', 'present_key', 'present_value'],
  attributes: {
    num_heads: int(),
    kv_num_heads: int(),
    scale: float(),
    do_rotary: int(0, 1),
    rotary_interleaved: int(0, 1),
    causal: int(1),
    local_window_size: int(),
    sliding_window_cache: int(0, 1),
    softcap: float(),
    smooth_softmax: int(-1, 0),
    qk_output: int(0),
    kv_cache_bit_width: int(0),
    k_quant_type: text('NONE'),
    v_quant_type: text('NONE'),
    qk_norm_epsilon: float(),
  },
  refusals: {
    causal: { means: 'attention to later tokens, which Hone does not compute', remedy: 'serve a causal decoder' },
    smooth_softmax: anotherSoftmax,
    qk_output: { means: 'an output of the scores', remedy: 'export the model without it' },
    kv_cache_bit_width: quantizedCache,
    k_quant_type: quantizedCache,
    v_quant_type: quantizedCache,
    'input 10': {
      means: 'something that is added to the scores (attention_bias), which Hone does not compute',
      remedy: 'serve a model whose attention has only the causal mask',
    },
    'input 11': { ...anotherSoftmax, means: `${anotherSoftmax.means} (head_sink)` },
    'input 12': quantizedCache,
    'input 13': quantizedCache,
  },
};

const unary = (attributes: OperatorForm['attributes'] = {}): Operator => ({
  inputs: ['X'],
  outputs: ['Y'],
  attributes,
  flow: tokenwise,
});
const binary: Operator = { inputs: ['A', 'B'], outputs: ['C'], attributes: {}, flow: elementwise };
const variadic: Operator = { inputs: ['...'], outputs: ['Y'], attributes: {}, flow: elementwise };
const reduction: Operator = {
  inputs: ['data', 'axes'],
  outputs: ['reduced'],
  attributes: { keepdims: int(), noop_with_empty_axes: int() },
  flow: reduce,
};
const normAttributes = { axis: int(), epsilon: float(), stash_type: int(1) };
const precision: Refusal = { means: 'statistics in another type than float32', remedy: 'export the model in float32' };

const arithmetic: Readonly<Record<string, Operator>> = {
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Pow: binary,
  Min: variadic,
  Max: variadic,
  Where: { inputs: ['condition', 'X', 'Y'], outputs: ['output'], attributes: {}, flow: elementwise },
  Equal: binary,
  Less: binary,
  LessOrEqual: binary,
  Greater: binary,
  GreaterOrEqual: binary,
  And: binary,
  Or: binary,
  Not: unary(),
  IsNaN: unary(),
  Neg: unary(),
  Abs: unary(),
  Exp: unary(),
  Log: unary(),
  Sqrt: unary(),
  Reciprocal: unary(),
  Sin: unary(),
  Cos: unary(),
  Erf: unary(),
  Tanh: unary(),
  Sigmoid: unary(),
  Softplus: unary(),
  Relu: unary(),
  Identity: unary(),
  Gelu: unary({ approximate: text('none', 'tanh') }),
  [`${microsoft}.Gelu`]: unary(),
  [`${microsoft}.FastGelu`]: { inputs: ['X', 'bias'], outputs: ['Y'], attributes: {}, flow: biased },
  [`${microsoft}.QuickGelu`]: unary({ alpha: float() }),
  Cast: { inputs: ['input'], outputs: ['output'], attributes: { to: int(), saturate: int() }, flow: cast },
};

const products: Readonly<Record<string, Operator>> = {
  MatMul: { inputs: ['A', 'B'], outputs: ['Y'], attributes: {}, flow: product },
  Gemm: {
    inputs: ['A', 'B', 'C'],
    outputs: ['Y'],
    attributes: { alpha: float(), beta: float(), transA: int(), transB: int() },
    flow: gemm,
  },
  [`${microsoft}.FusedMatMul`]: {
    inputs: ['A', 'B'],
    outputs: ['Y'],
    attributes: { alpha: float(), transA: int(), transB: int(), transBatchA: int(), transBatchB: int() },
    flow: product,
  },
  [`${microsoft}.MatMulNBits`]: {
    inputs: ['A', 'B', 'scales', 'zero_points', null, 'bias'],
    outputs: ['Y'],
    attributes: {
      K: int(),
      N: int(),
      bits: int(4, 8),
      block_size: int(),
      accuracy_level: int(0, 1, 2, 3, 4),
      weight_prepacked: int(0),
    },
    flow: quantizedProduct,
    refusals: {
      'input 4': {
        means: 'an order of the input features (g_idx), which Hone does not compute',
        remedy: 'quantise the float32 model with hone quantize',
      },
      bits: {
        means: 'codes of a width that Hone does not read',
        remedy: 'quantise the float32 model with hone quantize, to 8 or 4 bits',
      },
      weight_prepacked: {
        means: 'weights in the layout of one device',
        remedy: 'export the model without prepacking, or for the CPU',
      },
    },
  },
};

const norms: Readonly<Record<string, Operator>> = {
  SimplifiedLayerNormalization: {
    inputs: ['X', 'scale'],
    outputs: ['Y', null],
    attributes: normAttributes,
    flow: norm,
    refusals: { stash_type: precision },
  },
  RMSNormalization: {
    inputs: ['X', 'scale'],
    outputs: ['Y'],
    attributes: normAttributes,
    flow: norm,
    refusals: { stash_type: precision },
  },
  LayerNormalization: {
    inputs: ['X', 'scale', 'B'],
    outputs: ['Y', null, null],
    attributes: normAttributes,
    flow: norm,
    refusals: { stash_type: precision },
  },
  [`${microsoft}.SkipSimplifiedLayerNormalization`]: {
    inputs: ['input', 'skip', 'gamma', 'bias'],
    outputs: ['output', null, null, 'input_skip_bias_sum'],
    attributes: { epsilon: float() },
    flow: skipNorm,
  },
  [`${microsoft}.SkipLayerNormalization`]: {
    inputs: ['input', 'skip', 'gamma', 'beta', 'bias'],
    outputs: ['output', null, null, 'input_skip_bias_sum'],
    attributes: { epsilon: float() },
    flow: skipNorm,
  },
  Softmax: { inputs: ['input'], outputs: ['output'], attributes: { axis: int() }, flow: alongAxis },
  ReduceMean: reduction,
  ReduceSum: reduction,
  ReduceMax: reduction,
};

const shapes: Readonly<Record<string, Operator>> = {
  Shape: { inputs: ['data'], outputs: ['shape'], attributes: { start: int(), end: int() }, flow: shape },
  Reshape: { inputs: ['data', 'shape'], outputs: ['reshaped'], attributes: { allowzero: int() }, flow: reshape },
  Tile: { inputs: ['input', 'repeats'], outputs: ['output'], attributes: {}, flow: tile },
  Expand: { inputs: ['input', 'shape'], outputs: ['output'], attributes: {}, flow: expand },
  Flatten: { inputs: ['input'], outputs: ['output'], attributes: { axis: int() }, flow: flatten },
  Transpose: { inputs: ['data'], outputs: ['transposed'], attributes: { perm: ints }, flow: transpose },
  Unsqueeze: { inputs: ['data', 'axes'], outputs: ['expanded'], attributes: {}, flow: unsqueeze },
  Squeeze: { inputs: ['data', 'axes'], outputs: ['squeezed'], attributes: {}, flow: squeeze },
  Split: {
    inputs: ['input', 'split'],
    outputs: ['...'],
    attributes: { axis: int(), num_outputs: int() },
    flow: split,
  },
  Slice: { inputs: ['data', 'starts', 'ends', 'axes', 'steps'], outputs: ['output'], attributes: {}, flow: slice },
  Concat: { inputs: ['...'], outputs: ['concat_result'], attributes: { axis: int() }, flow: concat },
};

const lookups: Readonly<Record<string, Operator>> = {
  Gather: { inputs: ['data', 'indices'], outputs: ['output'], attributes: { axis: int() }, flow: gather },
  [`${microsoft}.GatherBlockQuantized`]: {
    inputs: ['data', 'indices', 'scales', 'zero_points'],
    outputs: ['output'],
    attributes: { bits: int(4, 8), block_size: int(), gather_axis: int(0), quantize_axis: int(1) },
    flow: gatherQuantized,
    refusals: {
      bits: {
        means: 'codes of a width that Hone does not read',
        remedy: 'quantise the float32 model with hone quantize, to 8 or 4 bits',
      },
    },
  },
};

const positions: Readonly<Record<string, Operator>> = {
  [`${microsoft}.RotaryEmbedding`]: {
    inputs: ['input', 'position_ids', 'cos_cache', 'sin_cache'],
    outputs: ['output'],
    attributes: {
      interleaved: int(0, 1),
      num_heads: int(),
      rotary_embedding_dim: int(),
      scale: float(1),
      is_packed_batching: int(0),
    },
    flow: rotary,
    refusals: {
      scale: {
        means: 'rotated values that are multiplied, which Hone does not compute',
        remedy: 'export the model with the factor in the tables or in the scale of attention',
      },
      is_packed_batching: {
        means: 'rows of different lengths without padding, which Hone does not compute',
        remedy: 'export the model for padded rows',
      },
    },
  },
  RotaryEmbedding: {
    inputs: ['X', 'cos_cache', 'sin_cache', 'position_ids'],
    outputs: ['Y'],
    attributes: { interleaved: int(0, 1), num_heads: int(), rotary_embedding_dim: int() },
    flow: onnxRotary,
  },
};

const operators: Readonly<Record<string, Operator>> = {
  ...arithmetic,
  ...products,
  ...norms,
  ...shapes,
  ...lookups,
  ...positions,
  [`${microsoft}.GroupQueryAttention`]: attention,
};

/**
 * Operators with a random result. Any other operator that reads only constants is constant, and onnxruntime computes
 * it.
 */
export const randomOperators: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
  'Dropout',
]);

export function operatorOf({ op, domain }: Node): Operator | undefined {
  const key = domain === '' ? op : `${domain}.${op}`;
  return Object.hasOwn(operators, key) ? operators[key] : undefined;
}
