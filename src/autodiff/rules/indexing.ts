/** Reads by index; their gradients are added into zeros of the source's shape. */

import { numberAttribute } from '../../onnx/index.js';
import { emit, outputGradient, type RuleContext, type RuleTable, rule } from '../rule.js';

const add = { reduction: { s: 'add' } } as const;

const zerosLike = (c: RuleContext, value: string): string => emit(c, 'ConstantOfShape', [emit(c, 'Shape', [value])]);

/** The order of axes that has `count` of them from `axis` on at the front. */
function toFront(rank: number, axis: number, count: number): number[] {
  const all = Array.from({ length: rank }, (_, at) => at);
  const isMoved = (at: number): boolean => at >= axis && at < axis + count;
  return [...all.filter(isMoved), ...all.filter((at) => !isMoved(at))];
}

export const indexingRules: RuleTable = {
  // dx[.., index, ..] += dy, with the axis of the index moved to the front meanwhile
  Gather: rule(
    (c) => {
      const [x, indices] = c.node.inputs as [string, string];
      const rank = c.shape(x).length;
      const axis = (numberAttribute(c.node, 'axis', 0) + rank) % rank;
      const rows = emit(c, 'Unsqueeze', [indices, c.graph.int64([-1])]);
      if (axis === 0) return [emit(c, 'ScatterND', [zerosLike(c, x), rows, outputGradient(c)], add)];
      const front = toFront(rank, axis, 1);
      const zeros = emit(c, 'ConstantOfShape', [emit(c, 'Gather', [emit(c, 'Shape', [x]), c.graph.int64(front)])]);
      const indexRank = c.shape(indices).length;
      const moved = { perm: { is: toFront(rank - 1 + indexRank, axis, indexRank) } };
      const added = emit(c, 'ScatterND', [zeros, rows, emit(c, 'Transpose', [outputGradient(c)], moved)], add);
      return [emit(c, 'Transpose', [added], { perm: { is: front.map((_, at) => front.indexOf(at)) } })];
    },
    { attributes: ['axis'] },
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
