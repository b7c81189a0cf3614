/** Reads by index; their gradients are added into zeros of the source's shape. */

import { numberAttribute } from '../../onnx/index.js';
import { emit, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

const add = { reduction: { s: 'add' } } as const;

const zerosLike = (c: RuleContext, value: string): string => emit(c, 'ConstantOfShape', [emit(c, 'Shape', [value])]);

export const indexingRules: RuleTable = {
  // dx[index] += dy, for rows of the first axis
  Gather: rule(
    (c) => {
      const [x, indices] = c.node.inputs as [string, string];
      const rows = emit(c, 'Unsqueeze', [indices, c.graph.int64([-1])]);
      return [emit(c, 'ScatterND', [zerosLike(c, x), rows, outputGradient(c)], add)];
    },
    {
      attributes: ['axis'],
      refuses: (node) => (numberAttribute(node, 'axis', 0) === 0 ? undefined : 'only its axis 0 has a gradient rule'),
    },
  ),
  // dx[..., index, ...] += dy
  GatherElements: rule(
    (c) => {
      const [x, indices] = c.node.inputs as [string, string];
      const axis = { axis: { i: numberAttribute(c.node, 'axis', 0) } };
      return [emit(c, 'ScatterElements', [zerosLike(c, x), indices, outputGradient(c)], { ...add, ...axis })];
    },
    { attributes: ['axis'] },
  ),
  // dx[index tuple] += dy
  GatherND: rule(
    (c) => {
      const [x, indices] = c.node.inputs as [string, string];
      return [emit(c, 'ScatterND', [zerosLike(c, x), indices, outputGradient(c)], add)];
    },
    {
      attributes: ['batch_dims'],
      refuses: (node) =>
        numberAttribute(node, 'batch_dims', 0) === 0 ? undefined : 'its batch_dims have no gradient rule',
    },
  ),
};
