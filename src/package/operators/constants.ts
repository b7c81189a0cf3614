/** Values and shapes of constants in a graph, and entries of shapes, as far as they are known without running it. */

import { type Graph, int64Values, intsAttribute, isExternal, type Node, type Tensor } from '../../onnx/index.js';
import type { Dim } from './dims.js';
import type { Value } from './value.js';

/** Reads constant integers from an initializer, or from a Constant in any of its forms. */
export function constantIntsOf(graph: Graph, producers: ReadonlyMap<string, Node>, name: string): number[] | undefined {
  const tensor = graph.initializers.get(name);
  if (tensor !== undefined) return intsIn(tensor);
  const node = producers.get(name);
  if (node?.op !== 'Constant') return undefined;
  const { value, value_int: one, value_ints: many } = node.attributes;
  if (value !== undefined && 't' in value) return intsIn(value.t);
  if (one !== undefined && 'i' in one) return [one.i];
  return many !== undefined && 'is' in many ? [...many.is] : undefined;
}

function intsIn(tensor: Tensor): number[] | undefined {
  return tensor.type === 'int64' && !isExternal(tensor.data) ? int64Values(tensor) : undefined;
}

/** Follows entries of shapes that are moved but not changed, which is enough for a Reshape to [rows, tokens, -1]. */
export function sizesOf(
  { op, domain, inputs: names }: Node,
  inputs: readonly (Value | undefined)[],
  ints: (name: string) => number[] | undefined,
): Value | undefined {
  const part = (i: number): Extract<Value, { kind: 'sizes' }> | undefined => {
    const value = inputs[i];
    if (value?.kind === 'sizes') return value;
    const constant = ints(names[i] ?? '');
    return constant === undefined ? undefined : { kind: 'sizes', sizes: constant, scalar: false };
  };
  const first = part(0);
  if (domain !== '' || first === undefined) return undefined;
  if (op === 'Cast' || op === 'Identity') return first;
  if (op === 'Unsqueeze') return { ...first, scalar: false };
  if (op === 'Squeeze') return { ...first, scalar: true };
  if (op === 'Concat') {
    const parts = inputs.map((_, i) => part(i));
    if (parts.some((one) => one === undefined || one.scalar)) return undefined;
    return { ...first, sizes: parts.flatMap((one) => one?.sizes ?? []) };
  }
  const places = ints(names[1] ?? '');
  if (op !== 'Gather' || places === undefined) return undefined;
  const picked = places.map((at) => first.sizes.at(at));
  if (picked.includes(undefined)) return undefined;
  const index = inputs[1];
  const scalar = index?.kind === 'constant' && index.dims?.length === 0;
  return { kind: 'sizes', sizes: picked as (number | Dim)[], scalar };
}

/**
 * Returns the shape of a computed constant, or undefined if it is not known. An operator that needs it is then refused.
 */
export function constantDims(
  node: Node,
  inputs: readonly (Value | undefined)[],
  ints: (name: string) => number[] | undefined,
): readonly number[] | undefined {
  const first = inputs[0]?.kind === 'constant' ? inputs[0].dims : undefined;
  switch (node.op) {
    case 'Constant':
      return dimsOfConstant(node);
    case 'Cast':
    case 'Identity':
    case 'Neg':
    case 'Sqrt':
    case 'Reciprocal':
    case 'DequantizeLinear':
      return first;
    case 'Transpose':
      return (intsAttribute(node, 'perm') ?? [...(first ?? []).keys()].reverse()).map((axis) => first?.[axis] ?? 0);
    case 'Reshape': {
      const shape = ints(node.inputs[1] ?? '');
      return shape?.every((size) => size > 0) ? shape : undefined;
    }
    case 'Unsqueeze': {
      const axes = ints(node.inputs[1] ?? '');
      if (first === undefined || axes === undefined) return undefined;
      const rank = first.length + axes.length;
      const added = new Set(axes.map((axis) => (axis + rank) % rank));
      const rest = [...first];
      return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.shift() as number)));
    }
    default:
      return undefined;
  }
}

function dimsOfConstant({ attributes }: Node): readonly number[] | undefined {
  const { value, value_float: float, value_int: int, value_floats: floats, value_ints: ints } = attributes;
  if (value !== undefined && 't' in value) return value.t.dims;
  if (float !== undefined || int !== undefined) return [];
  if (floats !== undefined && 'fs' in floats) return [floats.fs.length];
  return ints !== undefined && 'is' in ints ? [ints.is.length] : undefined;
}
