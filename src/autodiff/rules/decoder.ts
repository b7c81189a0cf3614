/** Operators of decoders: RMS norm, rotary positions, and the log-probability of chosen tokens. */

import { microsoft, numberAttribute } from '../../onnx/index.js';
import { detach, tokenLogProbability } from '../composites.js';
import { emit, noGradient, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

/**
 * y = x * s * w with s = 1 / sqrt(mean(x^2) + eps).
 * dx = s * (dy w) - x * s^3 * mean(dy w x);   dw = sum over rows of dy * x * s
 *
 * s is computed anew: the operator's own second output is unusable on WebGPU.
 */
function rmsNormGradients(c: RuleContext): (string | undefined)[] {
  const dy = outputGradient(c);
  const [x, w] = c.node.inputs as [string, string];
  const axes = c.graph.int64([-1]);
  const meanSquare = emit(c, 'ReduceMean', [emit(c, 'Mul', [x, x]), axes]);
  const epsilon = c.graph.float(numberAttribute(c.node, 'epsilon', 1e-5));
  const s = emit(c, 'Reciprocal', [emit(c, 'Sqrt', [emit(c, 'Add', [meanSquare, epsilon])])]);
  const normed = emit(c, 'Mul', [x, s]);
  let dx: string | undefined;
  if (c.needs(0)) {
    const g = emit(c, 'Mul', [dy, w]);
    const projection = emit(c, 'ReduceMean', [emit(c, 'Mul', [g, normed]), axes]);
    dx = emit(c, 'Mul', [emit(c, 'Sub', [g, emit(c, 'Mul', [normed, projection])]), s]);
  }
  const dw = c.needs(1) ? c.reduceTo(emit(c, 'Mul', [dy, normed]), c.shape(x), w) : undefined;
  return [dx, dw];
}

/** A rotation is undone by the opposite angle: dx = the same rotation of dy with -sin. */
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

/** dlogits = dy * (onehot(target) - softmax(logits)) */
function tokenLogProbabilityGradients(c: RuleContext): (string | undefined)[] {
  const targets = c.node.inputs[1] as string;
  const logSoftmax = c.node.outputs[1] as string;
  const column = c.graph.int64([1]);
  const dy = emit(c, 'Unsqueeze', [outputGradient(c), column]);
  const spread = emit(c, 'Mul', [emit(c, 'Exp', [logSoftmax]), emit(c, 'Neg', [dy])]);
  const rows = emit(c, 'Unsqueeze', [targets, column]);
  return [emit(c, 'ScatterElements', [spread, rows, dy], { axis: { i: 1 }, reduction: { s: 'add' } })];
}

export const decoderRules: RuleTable = {
  SimplifiedLayerNormalization: rule(rmsNormGradients),
  [`${microsoft}.RotaryEmbedding`]: rule(rotaryGradients),
  [tokenLogProbability]: rule(tokenLogProbabilityGradients),
  [detach]: noGradient,
};
