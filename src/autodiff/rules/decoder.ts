/** Operators of decoders: norms, rotary positions, and the log-probability of chosen tokens. */

import { microsoft, numberAttribute } from '../../onnx/index.js';
import { detach, swiGlu, tokenLogProbability } from '../composites.js';
import { emit, noGradient, outputGradient, type RuleContext, type RuleLimits, type RuleTable, rule } from '../rule.js';

/**
 * y = x * s * w with s = 1 / sqrt(mean(x^2) + eps).
 * dx = s * (dy w) - x * s^2 * mean(dy y);   dw = sum over rows of dy * x * s
 *
 * The rule computes s itself, because the operator's own second output is unusable on WebGPU.
 */
function rmsNormGradients(c: RuleContext): (string | undefined)[] {
  const dy = outputGradient(c);
  const [x, w] = c.node.inputs as [string, string];
  const axes = c.graph.int64([-1]);
  const meanSquare = emit(c, 'ReduceMean', [emit(c, 'Mul', [x, x]), axes]);
  const epsilon = c.graph.float(numberAttribute(c.node, 'epsilon', 1e-5));
  const s = emit(c, 'Reciprocal', [emit(c, 'Sqrt', [emit(c, 'Add', [meanSquare, epsilon])])]);
  let dx: string | undefined;
  if (c.needs(0)) {
    const direct = emit(c, 'Mul', [emit(c, 'Mul', [dy, w]), s]);
    const mean = emit(c, 'ReduceMean', [emit(c, 'Mul', [dy, c.node.outputs[0] as string]), axes]);
    const perRow = emit(c, 'Mul', [emit(c, 'Mul', [s, s]), mean]);
    dx = emit(c, 'Sub', [direct, emit(c, 'Mul', [x, perRow])]);
  }
  const dw = c.needs(1) ? c.reduceTo(emit(c, 'Mul', [dy, emit(c, 'Mul', [x, s])]), c.shape(x), w) : undefined;
  return [dx, dw];
}

/**
 * y = z * w + b with z = (x - mean(x)) * s and s = 1 / sqrt(mean((x - mean(x))^2) + eps).
 * dx = s * (dz - mean(dz) - z * mean(dz z)) with dz = dy w;   dw = sum over rows of dy z;   db = sum over rows of dy
 */
function layerNormGradients(c: RuleContext): (string | undefined)[] {
  const dy = outputGradient(c);
  const [x, w, b] = c.node.inputs as [string, string, string?];
  const axes = c.graph.int64([-1]);
  const mean = (value: string): string => emit(c, 'ReduceMean', [value, axes]);
  const centred = emit(c, 'Sub', [x, mean(x)]);
  const epsilon = c.graph.float(numberAttribute(c.node, 'epsilon', 1e-5));
  const variance = mean(emit(c, 'Mul', [centred, centred]));
  const s = emit(c, 'Reciprocal', [emit(c, 'Sqrt', [emit(c, 'Add', [variance, epsilon])])]);
  const z = emit(c, 'Mul', [centred, s]);
  let dx: string | undefined;
  if (c.needs(0)) {
    const dz = emit(c, 'Mul', [dy, w]);
    const along = emit(c, 'Mul', [z, mean(emit(c, 'Mul', [dz, z]))]);
    dx = emit(c, 'Mul', [s, emit(c, 'Sub', [emit(c, 'Sub', [dz, mean(dz)]), along])]);
  }
  const dw = c.needs(1) ? c.reduceTo(emit(c, 'Mul', [dy, z]), c.shape(x), w) : undefined;
  const db = b !== undefined && c.needs(2) ? c.reduceTo(dy, c.shape(x), b) : undefined;
  return [dx, dw, db];
}

/**
 * y = a * u with a = g * s, s = sigmoid(g):   du = dy * a;   dg = dy * u * (s + a * (1 - s))
 *
 * The rule computes s and a again instead of keeping them from the forward pass, because they are as wide as the layer
 * and cheap. Their input takes its shape from dy, so onnxruntime can neither compute them before dy nor merge them with
 * those of the forward pass.
 */
function swiGluGradients(c: RuleContext): (string | undefined)[] {
  const dy = outputGradient(c);
  const [g, u] = c.node.inputs as [string, string];
  const gate = emit(c, 'Reshape', [g, emit(c, 'Shape', [dy])]);
  const s = emit(c, 'Sigmoid', [gate]);
  const a = emit(c, 'Mul', [gate, s]);
  const slope = emit(c, 'Add', [s, emit(c, 'Mul', [a, emit(c, 'Sub', [c.graph.float(1), s])])]);
  return [
    c.needs(0) ? emit(c, 'Mul', [emit(c, 'Mul', [dy, u]), slope]) : undefined,
    c.needs(1) ? emit(c, 'Mul', [dy, a]) : undefined,
  ];
}

/** y = rotate(x, cos, sin):   dx = rotate(dy, cos, -sin), the rotation by the opposite angle. */
function rotaryGradients(c: RuleContext): (string | undefined)[] {
  const [, positions, cos, sin] = c.node.inputs as [string, string, string, string];
  const opposite = emit(c, 'Neg', [sin]);
  return [
    c.graph.add('RotaryEmbedding', [outputGradient(c), positions, cos, opposite], {
      domain: microsoft,
      attributes: c.node.attributes,
    }),
  ];
}

/** The same of the operator of ai.onnx, whose tables come before the positions, which may be absent. */
function onnxRotaryGradients(c: RuleContext): (string | undefined)[] {
  const [, cos, sin, ...positions] = c.node.inputs as [string, string, string, ...string[]];
  return [emit(c, 'RotaryEmbedding', [outputGradient(c), cos, emit(c, 'Neg', [sin]), ...positions], c.node.attributes)];
}

/** y = log_softmax(logits)[target]:   dlogits = dy * (onehot(target) - softmax(logits)) */
function tokenLogProbabilityGradients(c: RuleContext): (string | undefined)[] {
  const targets = c.node.inputs[1] as string;
  const logSoftmax = c.node.outputs[1] as string;
  const column = c.graph.int64([1]);
  const dy = emit(c, 'Unsqueeze', [outputGradient(c), column]);
  const spread = emit(c, 'Mul', [emit(c, 'Exp', [logSoftmax]), emit(c, 'Neg', [dy])]);
  const rows = emit(c, 'Unsqueeze', [targets, column]);
  return [emit(c, 'ScatterElements', [spread, rows, dy], { axis: { i: 1 }, reduction: { s: 'add' } })];
}

const norm: RuleLimits = {
  attributes: ['axis', 'epsilon', 'stash_type'],
  refuses: (node) => (numberAttribute(node, 'axis', -1) === -1 ? undefined : 'only its axis -1 has a gradient rule'),
};

export const decoderRules: RuleTable = {
  SimplifiedLayerNormalization: rule(rmsNormGradients, norm),
  LayerNormalization: rule(layerNormGradients, norm),
  [`${microsoft}.RotaryEmbedding`]: rule(rotaryGradients, {
    attributes: ['interleaved', 'num_heads', 'rotary_embedding_dim', 'scale', 'is_packed_batching'],
    inputs: 1,
  }),
  RotaryEmbedding: rule(onnxRotaryGradients, {
    attributes: ['interleaved', 'num_heads', 'rotary_embedding_dim'],
    inputs: 1,
  }),
  [tokenLogProbability]: rule(tokenLogProbabilityGradients),
  [swiGlu]: rule(swiGluGradients),
  [detach]: noGradient,
};
