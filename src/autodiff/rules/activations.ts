/** Activations that are one operator, in the exact form and in approximations. */

import { microsoft, numberAttribute, textAttribute } from '../../onnx/index.js';
import { emit, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

/**
 * y = x * Phi(x):   dx = dy * (Phi(x) + x * phi(x)), with the normal distribution's Phi = (1 + erf(x / sqrt 2)) / 2 and
 * phi = exp(-x^2 / 2) / sqrt(2 pi)
 */
function exactGelu(c: RuleContext, x: string): string {
  const { float } = floats(c);
  const error = emit(c, 'Erf', [emit(c, 'Mul', [x, float(Math.SQRT1_2)])]);
  const share = emit(c, 'Mul', [emit(c, 'Add', [error, float(1)]), float(0.5)]);
  const bell = emit(c, 'Exp', [emit(c, 'Mul', [emit(c, 'Mul', [x, x]), float(-0.5)])]);
  const density = emit(c, 'Mul', [bell, float(1 / Math.sqrt(2 * Math.PI))]);
  const slope = emit(c, 'Add', [share, emit(c, 'Mul', [x, density])]);
  return emit(c, 'Mul', [outputGradient(c), slope]);
}

/**
 * y = x * (1 + t) / 2 with t = tanh(u), u = k (x + a x^3), k = sqrt(2 / pi), a = 0.044715:
 * dx = dy * ((1 + t) / 2 + x * (1 - t^2) / 2 * k (1 + 3 a x^2))
 */
function tanhGelu(c: RuleContext, x: string): string {
  const { float } = floats(c);
  const square = emit(c, 'Mul', [x, x]);
  const [k, a] = [Math.sqrt(2 / Math.PI), 0.044715];
  const bent = emit(c, 'Add', [emit(c, 'Mul', [square, float(k * a)]), float(k)]);
  const t = emit(c, 'Tanh', [emit(c, 'Mul', [x, bent])]);
  const share = emit(c, 'Mul', [emit(c, 'Add', [t, float(1)]), float(0.5)]);
  const inner = emit(c, 'Add', [emit(c, 'Mul', [square, float(3 * k * a)]), float(k)]);
  const flat = emit(c, 'Mul', [emit(c, 'Sub', [float(1), emit(c, 'Mul', [t, t])]), float(0.5)]);
  const slope = emit(c, 'Add', [share, emit(c, 'Mul', [emit(c, 'Mul', [x, flat]), inner])]);
  return emit(c, 'Mul', [outputGradient(c), slope]);
}

/** y = x * s with s = sigmoid(alpha x):   dx = dy * (s + alpha x s (1 - s)) */
function quickGelu(c: RuleContext): string {
  const { float } = floats(c);
  const [x] = c.node.inputs as [string];
  const scaled = emit(c, 'Mul', [x, float(numberAttribute(c.node, 'alpha', 1.702))]);
  const s = emit(c, 'Sigmoid', [scaled]);
  const rest = emit(c, 'Mul', [emit(c, 'Mul', [scaled, s]), emit(c, 'Sub', [float(1), s])]);
  return emit(c, 'Mul', [outputGradient(c), emit(c, 'Add', [s, rest])]);
}

const floats = (c: RuleContext) => ({ float: (value: number) => c.graph.float(value) });

/** The operator's input with its bias, if it has one. */
function biased(c: RuleContext): string {
  const [x, bias = ''] = c.node.inputs as [string, string?];
  return bias === '' ? x : emit(c, 'Add', [x, bias]);
}

export const activationRules: RuleTable = {
  Gelu: rule(
    (c) => {
      const [x] = c.node.inputs as [string];
      return [textAttribute(c.node, 'approximate', 'none') === 'tanh' ? tanhGelu(c, x) : exactGelu(c, x)];
    },
    { attributes: ['approximate'] },
  ),
  [`${microsoft}.Gelu`]: rule((c) => [exactGelu(c, c.node.inputs[0] as string)]),
  [`${microsoft}.FastGelu`]: rule((c) => [tanhGelu(c, biased(c))], { inputs: 1 }),
  [`${microsoft}.QuickGelu`]: rule((c) => [quickGelu(c)], { attributes: ['alpha'] }),
};
