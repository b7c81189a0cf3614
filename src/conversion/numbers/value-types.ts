/** The element types of the values of a graph, as far as they follow from the operators. */

import { type ElementType, elementTypes, type Graph, type Node, numberAttribute } from '../../onnx/index.js';

const booleans: ReadonlySet<string> = new Set([
  'Equal',
  'Less',
  'LessOrEqual',
  'Greater',
  'GreaterOrEqual',
  'And',
  'Or',
  'Not',
  'Xor',
  'IsNaN',
  'IsInf',
]);
const counts: ReadonlySet<string> = new Set(['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin']);
/** Operators whose outputs have the type of another input than the first, with its place. */
const sameAs: Readonly<Record<string, number>> = {
  Where: 1,
  CastLike: 1,
  DequantizeLinear: 1,
  GatherBlockQuantized: 2,
  OneHot: 2,
};

/**
 * Returns the types of all values that are known. The nodes must be sorted.
 *
 * Most operators of a decoder compute values of the type of their first input. An operator for which this is wrong, and
 * which is not listed here, would have to be one between floats and other types.
 */
export function valueTypes(graph: Graph): Map<string, ElementType> {
  const types = new Map<string, ElementType>();
  for (const [name, { type }] of graph.inputs) types.set(name, type);
  for (const [name, { type }] of graph.initializers) types.set(name, type);
  for (const node of graph.nodes) {
    for (const [i, output] of node.outputs.entries()) {
      const type = typeOf(node, i, types);
      if (type !== undefined && output !== '') types.set(output, type);
    }
  }
  return types;
}

function typeOf(node: Node, output: number, types: ReadonlyMap<string, ElementType>): ElementType | undefined {
  const { op, attributes, inputs } = node;
  if (booleans.has(op)) return 'bool';
  if (counts.has(op) || (op === 'TopK' && output === 1)) return 'int64';
  if (op === 'Cast') return typeByCode(numberAttribute(node, 'to', 0));
  if (op === 'MatMulInteger' || op === 'ConvInteger') return 'int32';
  if (op === 'DynamicQuantizeLinear' || op === 'QuantizeLinear') return output === 1 ? 'float32' : undefined;
  if (op === 'ConstantOfShape' || op === 'Constant') {
    const { value, value_int: int, value_ints: ints } = attributes;
    if (value !== undefined && 't' in value) return value.t.type;
    return int !== undefined || ints !== undefined ? 'int64' : 'float32';
  }
  return types.get(inputs[sameAs[op] ?? 0] ?? '');
}

function typeByCode(code: number): ElementType | undefined {
  return (Object.keys(elementTypes) as ElementType[]).find((type) => elementTypes[type].code === code);
}
