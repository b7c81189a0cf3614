/** Reads by index; their gradients add into zeros of the source's shape. */

import { HoneError } from '../../errors.js';
import { numberAttribute } from '../../onnx/index.js';
import { emit, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

const add = { reduction: { s: 'add' } } as const;

const zerosLike = (c: RuleContext, value: string): string => emit(c, 'ConstantOfShape', [emit(c, 'Shape', [value])]);

export const indexingRules: RuleTable = {
  // dx[index] += dy, rows of the first axis
  Gather: rule((c) => {
    const [x, indices] = c.node.inputs as [string, string];
    if (numberAttribute(c.node, 'axis', 0) !== 0) {
      throw new HoneError('OPERATOR_NOT_DIFFERENTIABLE', `Gather ${c.node.name}: only axis 0 has a gradient rule`);
    }
    const rows = emit(c, 'Unsqueeze', [indices, c.graph.int64([-1])]);
    return [emit(c, 'ScatterND', [zerosLike(c, x), rows, outputGradient(c)], add)];
  }),
  // dx[..., index, ...] += dy
  GatherElements: rule((c) => {
    const [x, indices] = c.node.inputs as [string, string];
    const axis = { axis: { i: numberAttribute(c.node, 'axis', 0) } };
    return [emit(c, 'ScatterElements', [zerosLike(c, x), indices, outputGradient(c)], { ...add, ...axis })];
  }),
  // dx[index] += dy
  GatherND: rule((c) => {
    const [x, indices] = c.node.inputs as [string, string];
    if (numberAttribute(c.node, 'batch_dims', 0) !== 0) {
      throw new HoneError('OPERATOR_NOT_DIFFERENTIABLE', `GatherND ${c.node.name}: batch_dims have no gradient rule`);
    }
    return [emit(c, 'ScatterND', [zerosLike(c, x), indices, outputGradient(c)], add)];
  }),
};
