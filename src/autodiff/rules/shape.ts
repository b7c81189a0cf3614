/** Operators that move values and do not change them. */

import { HoneError } from '../../errors.js';
import { type Graph, intsAttribute, type Node, numberAttribute } from '../../onnx/index.js';
import { emit, noGradient, outputGradient, type RuleContext, type RuleTable, rule, values } from '../rule.js';

/** dx = dy, in the shape of x */
const reshapeBack = (...attributes: string[]) =>
  rule((c) => [emit(c, 'Reshape', [outputGradient(c), c.shapeTensor(values(c.node).x)])], { attributes });

/** Starts, axes and steps of a Slice; undefined if one of them is computed. */
function sliceBounds(node: Node, graph: Graph): { starts: number[]; axes: number[]; steps: number[] } | undefined {
  const given = (input: number): number[] | undefined => graph.constantInts(node.inputs[input] ?? '');
  const starts = given(1);
  const axes = node.inputs[3] ? given(3) : starts?.map((_, i) => i);
  const steps = node.inputs[4] ? given(4) : starts?.map(() => 1);
  return starts && axes && steps ? { starts, axes, steps } : undefined;
}

/** Puts zeros behind each element of a value of the shape of y, so that elements are a stride apart along each axis. */
function spread(c: RuleContext, value: string, y: string, strides: readonly number[]): string {
  return strides.reduce((spaced, stride, axis) => {
    if (stride === 1) return spaced;
    const apart = emit(c, 'Unsqueeze', [spaced, c.graph.int64([axis + 1])]);
    const pads = new Array<number>(2 * (strides.length + 1)).fill(0).with(-(strides.length - axis), stride - 1);
    const sizes = strides.map((one, at) => (at <= axis ? one : 1));
    const shape = emit(c, 'Mul', [emit(c, 'Shape', [y]), c.graph.int64(sizes)]);
    return emit(c, 'Reshape', [emit(c, 'Pad', [apart, c.graph.int64(pads)]), shape]);
  }, value);
}

function slicesInSteps(node: Node, graph: Graph): string | undefined {
  const bounds = sliceBounds(node, graph);
  if (bounds === undefined) return 'its starts, axes or steps are not constant';
  return bounds.steps.every((step) => step >= 1) ? undefined : 'only steps forward have a gradient rule';
}

export const shapeRules: RuleTable = {
  Reshape: reshapeBack('allowzero'),
  Squeeze: reshapeBack('axes'),
  Unsqueeze: reshapeBack('axes'),
  Flatten: reshapeBack('axis'),
  // dx = dy, with the axes moved back
  Transpose: rule(
    (c) => {
      const rank = c.shape(values(c.node).x).length;
      const perm = intsAttribute(c.node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
      const inverse = perm.map((_, axis) => perm.indexOf(axis));
      return [emit(c, 'Transpose', [outputGradient(c)], { perm: { is: inverse } })];
    },
    { attributes: ['perm'] },
  ),
  // dx = sum of dy over the repeated axes
  Expand: rule((c) => {
    const { x, y } = values(c.node);
    return [c.reduceTo(outputGradient(c), c.shape(y), x)];
  }),
  // dx = sum of dy over the copies, which lie side by side: [r0 * d0, ..] is [r0, d0, ..]
  Tile: rule(
    (c) => {
      const { x } = values(c.node);
      const repeats = c.node.inputs[1] as string;
      const columns = [repeats, emit(c, 'Shape', [x])].map((list) => emit(c, 'Unsqueeze', [list, c.graph.int64([1])]));
      const pairs = emit(c, 'Reshape', [emit(c, 'Concat', columns, { axis: { i: 1 } }), c.graph.int64([-1])]);
      const copies = c.graph.int64(c.shape(x).map((_, axis) => 2 * axis));
      const apart = emit(c, 'Reshape', [outputGradient(c), pairs]);
      return [emit(c, 'ReduceSum', [apart, copies], { keepdims: { i: 0 } })];
    },
    { inputs: 1 },
  ),
  // dx_i = the part of dy that comes from x_i
  Concat: rule(
    (c) => {
      const rank = c.shape(values(c.node).y).length;
      const axis = (numberAttribute(c.node, 'axis', 0) + rank) % rank;
      const sizes = c.node.inputs.map((input) => c.shape(input)[axis] ?? null);
      const split = sizes.every((size) => size !== null)
        ? c.graph.int64(sizes as number[])
        : emit(
            c,
            'Concat',
            c.node.inputs.map((input) =>
              emit(c, 'Slice', [emit(c, 'Shape', [input]), c.graph.int64([axis]), c.graph.int64([axis + 1])]),
            ),
            { axis: { i: 0 } },
          );
      const outputs = c.node.inputs.map(() => c.graph.freshName('d_concat'));
      c.graph.add('Split', [outputGradient(c), split], { attributes: { axis: { i: axis } }, outputs });
      return outputs;
    },
    { attributes: ['axis'] },
  ),
  // dx = concat(dy_0, dy_1, ..), with zeros for an output that has no gradient
  Split: rule(
    (c) => {
      const pieces = c.node.outputs.map(
        (output, i) => c.outputGradients[i] ?? emit(c, 'ConstantOfShape', [emit(c, 'Shape', [output])]),
      );
      return [emit(c, 'Concat', pieces, { axis: { i: numberAttribute(c.node, 'axis', 0) } })];
    },
    { attributes: ['axis', 'num_outputs'], outputs: Number.POSITIVE_INFINITY },
  ),
  // dx = dy, padded with zeros to the shape of x; steps of 1 only
  Slice: rule(
    (c) => {
      const { x, y } = values(c.node);
      const rank = c.shape(x).length;
      const { starts, axes, steps } = sliceBounds(c.node, c.graph) as NonNullable<ReturnType<typeof sliceBounds>>;
      const begin = new Array<number>(rank).fill(0);
      for (const [i, start] of starts.entries()) {
        const axis = ((axes[i] as number) + rank) % rank;
        const dim = c.shape(x)[axis];
        if (start < 0 && (dim === null || dim === undefined)) {
          throw new HoneError(
            'OPERATOR_NOT_DIFFERENTIABLE',
            `Slice ${c.node.name}: it starts at ${start} of an axis whose size is known at run time only, which has no gradient rule`,
          );
        }
        begin[axis] = start < 0 ? start + (dim as number) : start;
      }
      const strides = new Array<number>(rank).fill(1);
      for (const [i, step] of steps.entries()) strides[((axes[i] as number) + rank) % rank] = step;
      const spaced = spread(c, outputGradient(c), y, strides);
      const before = c.graph.int64(begin);
      const after = emit(c, 'Sub', [emit(c, 'Sub', [emit(c, 'Shape', [x]), before]), emit(c, 'Shape', [spaced])]);
      return [emit(c, 'Pad', [spaced, emit(c, 'Concat', [before, after], { axis: { i: 0 } })])];
    },
    { refuses: slicesInSteps },
  ),

  Shape: noGradient,
  Size: noGradient,
  Constant: noGradient,
  ConstantOfShape: noGradient,
  Range: noGradient,
};
