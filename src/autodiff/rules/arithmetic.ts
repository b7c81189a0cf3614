/** Elementwise arithmetic. Gradients have the output's shape; the reverse pass sums them over broadcast axes. */

import {
  elementwise,
  emit,
  type Gradients,
  noGradient,
  outputGradient,
  type RuleContext,
  type RuleLimits,
  type RuleTable,
  rule,
  values,
} from '../rule.js';

const unary = (derivative: (context: RuleContext, dy: string) => string, limits: RuleLimits = {}) =>
  rule((context) => [derivative(context, outputGradient(context))], limits);

/** The gradient of each operand of a minimum or maximum: all of it where the output is this operand. */
function whereChosen(c: RuleContext): Gradients {
  const { y, inputs } = values(c.node);
  return inputs.map((x, i) =>
    c.needs(i) ? emit(c, 'Where', [emit(c, 'Equal', [x, y]), outputGradient(c), c.graph.float(0)]) : undefined,
  );
}

export const arithmeticRules: RuleTable = {
  // da = dy, db = dy
  Add: elementwise((c) => [outputGradient(c), outputGradient(c)]),
  // da = dy, db = -dy
  Sub: elementwise((c) => [outputGradient(c), c.needs(1) ? emit(c, 'Neg', [outputGradient(c)]) : undefined]),
  // da = dy * b, db = dy * a
  Mul: elementwise((c) => {
    const dy = outputGradient(c);
    const [a, b] = c.node.inputs as [string, string];
    return [c.needs(0) ? emit(c, 'Mul', [dy, b]) : undefined, c.needs(1) ? emit(c, 'Mul', [dy, a]) : undefined];
  }),
  // da = dy / b, db = -dy * y / b
  Div: elementwise((c) => {
    const dy = outputGradient(c);
    const b = c.node.inputs[1] as string;
    const quotient = emit(c, 'Div', [dy, b]);
    return [quotient, c.needs(1) ? emit(c, 'Neg', [emit(c, 'Mul', [quotient, values(c.node).y])]) : undefined];
  }),
  // dx = n * x^(n-1) * dy, for a constant exponent
  Pow: elementwise(
    (c) => {
      const [x, n] = c.node.inputs as [string, string];
      const power = emit(c, 'Pow', [x, emit(c, 'Sub', [n, c.graph.float(1)])]);
      return [emit(c, 'Mul', [outputGradient(c), emit(c, 'Mul', [n, power])])];
    },
    { inputs: 1 },
  ),
  // dx = -dy
  Neg: unary((c, dy) => emit(c, 'Neg', [dy])),
  // dx = dy * y
  Exp: unary((c, dy) => emit(c, 'Mul', [dy, values(c.node).y])),
  // dx = dy / x
  Log: unary((c, dy) => emit(c, 'Div', [dy, values(c.node).x])),
  // dx = dy / (2 y)
  Sqrt: unary((c, dy) => emit(c, 'Div', [emit(c, 'Mul', [dy, c.graph.float(0.5)]), values(c.node).y])),
  // dx = -dy * y^2
  Reciprocal: unary((c, dy) => {
    const { y } = values(c.node);
    return emit(c, 'Neg', [emit(c, 'Mul', [dy, emit(c, 'Mul', [y, y])])]);
  }),
  // dx = dy * y * (1 - y)
  Sigmoid: unary((c, dy) => {
    const { y } = values(c.node);
    return emit(c, 'Mul', [emit(c, 'Mul', [dy, y]), emit(c, 'Sub', [c.graph.float(1), y])]);
  }),
  // dx = dy * (1 - y^2)
  Tanh: unary((c, dy) => {
    const { y } = values(c.node);
    return emit(c, 'Sub', [dy, emit(c, 'Mul', [dy, emit(c, 'Mul', [y, y])])]);
  }),
  // dx = dy * 2/sqrt(pi) * exp(-x^2)
  Erf: unary((c, dy) => {
    const { x } = values(c.node);
    const bell = emit(c, 'Exp', [emit(c, 'Neg', [emit(c, 'Mul', [x, x])])]);
    return emit(c, 'Mul', [emit(c, 'Mul', [dy, bell]), c.graph.float(2 / Math.sqrt(Math.PI))]);
  }),
  // dx = dy if x > 0, else 0
  Relu: unary((c, dy) => {
    const positive = emit(c, 'Greater', [values(c.node).x, c.graph.float(0)]);
    return emit(c, 'Where', [positive, dy, c.graph.float(0)]);
  }),
  // dx = dy * cos(x)
  Sin: unary((c, dy) => emit(c, 'Mul', [dy, emit(c, 'Cos', [values(c.node).x])])),
  // dx = -dy * sin(x)
  Cos: unary((c, dy) => emit(c, 'Neg', [emit(c, 'Mul', [dy, emit(c, 'Sin', [values(c.node).x])])])),
  // dx_i = dy if x_i = y, else 0
  Min: elementwise(whereChosen),
  Max: elementwise(whereChosen),
  // da = dy if the condition holds, else 0;  db = 0 if the condition holds, else dy
  Where: elementwise((c) => {
    const dy = outputGradient(c);
    const condition = c.node.inputs[0] as string;
    const zero = c.graph.float(0);
    return [
      undefined,
      c.needs(1) ? emit(c, 'Where', [condition, dy, zero]) : undefined,
      c.needs(2) ? emit(c, 'Where', [condition, zero, dy]) : undefined,
    ];
  }),
  // dx = dy
  Identity: unary((_, dy) => dy),
  // dx = dy, as float32; only casts between float types reach this rule, because integers carry no gradient
  Cast: unary((c, dy) => emit(c, 'Cast', [dy], { to: { i: 1 } }), { attributes: ['to', 'saturate'] }),

  Less: noGradient,
  LessOrEqual: noGradient,
  Greater: noGradient,
  GreaterOrEqual: noGradient,
  Equal: noGradient,
  And: noGradient,
  Or: noGradient,
  Not: noGradient,
  IsNaN: noGradient,
  Sign: noGradient,
};
