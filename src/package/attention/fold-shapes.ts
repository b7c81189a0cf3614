/**
 * Writes sizes that a graph computes in one form. Exporters compute them from the shapes of any values; here each becomes
 * a constant, or a list of constants and of four sizes: rows, tokens, columns of the cache, and both together. The sizes
 * are found by evaluation: two probes never have the same combination of sizes.
 */

import { float32Tensor, type Graph, type Node } from '../../onnx/index.js';
import { constantIntsOf } from '../operators/constants.js';
import { type Evaluated, evaluate, type Probe } from './probe-run.js';
import { shapeTwin } from './shape-twin.js';

/** Three sets of sizes, in which every size that is a fixed number of one of them differs somewhere. */
export const sizeProbes: readonly Probe[] = [
  { rows: 2, tokens: 3, past: 5 },
  { rows: 3, tokens: 5, past: 11 },
  { rows: 5, tokens: 2, past: 4 },
];

/** Operators that compute sizes from sizes. */
const sizeOperators: ReadonlySet<string> = new Set(
  (
    'Shape Size Gather Unsqueeze Squeeze Concat Cast Identity Add Sub Mul Div Mod Neg Abs Min Max Floor Ceil Where Equal ' +
    'Less Greater LessOrEqual GreaterOrEqual Not And Or ConstantOfShape Reshape Slice ReduceProd ReduceMax'
  ).split(' '),
);

/** Longest list of sizes that is folded. */
const mostSizes = 8;

/** Names of the sizes in a graph, as lists of one int64. */
export interface SizeNames {
  readonly rows: string;
  readonly tokens: string;
  readonly past: string;
  readonly total: string;
}

/** Shapes of values, in the order of {@link sizeProbes}. */
export type ProbedDims = ReadonlyMap<string, readonly (readonly number[])[]>;

/**
 * Folds the sizes of a graph in place.
 * @param wanted further values whose shapes are returned
 */
export async function foldShapes(
  graph: Graph,
  wanted: readonly string[],
): Promise<{ readonly sizes: SizeNames; readonly dims: ProbedDims }> {
  graph.prune();
  const sizes = sizeNames(graph);
  const computed = sizeValues(graph);
  const reshaped = reshapes(graph).flatMap(({ inputs, outputs }) => [inputs[0] as string, outputs[0] as string]);
  const compared = graph.nodes.filter(({ op, outputs }) => op === 'Equal' && computed.includes(outputs[0] as string));
  const measured = [...new Set([...wanted, ...reshaped, ...compared.flatMap(({ inputs }) => inputs)])];
  const outputs = [...new Set([...computed, ...measured])];
  const runs = await evaluate(shapeTwin(graph), outputs, sizeProbes);
  const dims = new Map(outputs.map((name) => [name, runs.map((run) => (run.get(name) as Evaluated).dims)]));
  const folded = new Map<string, string>();
  const leaps = leapingValues(graph, new Set(computed), runs);
  for (const name of computed) {
    if (leaps.has(name)) continue;
    const value = foldOne(
      graph,
      sizes,
      runs.map((run) => run.get(name) as Evaluated),
    );
    if (value !== undefined) folded.set(name, value);
  }
  graph.nodes = graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map((name) => folded.get(name) ?? name) }));
  const producers = graph.producers();
  for (const node of reshapes(graph)) copyDims(graph, node, producers, sizes, dims);
  graph.prune();
  dropIdle(graph, dims);
  graph.prune();
  return { sizes, dims };
}

function sizeNames(graph: Graph): SizeNames {
  const size = (value: string, axis: number): string =>
    graph.add('Shape', [value], { attributes: { start: { i: axis }, end: { i: axis + 1 } } });
  const rows = size('input_ids', 0);
  const tokens = size('input_ids', 1);
  const past = size('past_key_values.0.key', 2);
  return { rows, tokens, past, total: graph.add('Add', [past, tokens]) };
}

/** Values that are computed from shapes and constants only. */
function sizeValues(graph: Graph): string[] {
  const sorted = graph.clone();
  sorted.prune();
  const sizes = new Set<string>();
  const constants = new Set(graph.initializers.keys());
  for (const { op, domain, inputs, outputs } of sorted.nodes) {
    const given = inputs.filter((input) => input !== '');
    const isKnown = given.every((input) => sizes.has(input) || constants.has(input));
    if (op === 'Constant' || (given.length > 0 && given.every((input) => constants.has(input)))) {
      for (const output of outputs) constants.add(output);
    } else if (domain === '' && (op === 'Shape' || op === 'Size' || (sizeOperators.has(op) && isKnown))) {
      for (const output of outputs) sizes.add(output);
    }
  }
  return [...sizes];
}

/** Operators whose result may follow one rule for the sizes of the probes and another for larger ones. */
const leaping: ReadonlySet<string> = new Set(
  'Div Mod Min Max Floor Ceil Less Greater LessOrEqual GreaterOrEqual Equal Where Slice Gather ReduceMax'.split(' '),
);

/** Returns the values for which three probes prove nothing: what comes from such an operator of sizes that vary. */
function leapingValues(
  graph: Graph,
  computed: ReadonlySet<string>,
  runs: readonly ReadonlyMap<string, Evaluated>[],
): Set<string> {
  const varies = (name: string): boolean => {
    const texts = runs.map((run) => Array.from(run.get(name)?.values ?? [], String).join());
    return computed.has(name) && texts.some((text) => text !== texts[0]);
  };
  const isMark = (name: string): boolean => isNegative(runs.map((run) => run.get(name)?.values ?? []));
  const found = new Set<string>();
  for (const { op, inputs, outputs } of graph.nodes) {
    // Whatever comes of such a value is no better, and neither is its shape.
    if (inputs.some((name) => found.has(name))) for (const output of outputs) found.add(output);
    if (!leaping.has(op) || !outputs.some((output) => computed.has(output))) continue;
    // Exporters mark an open size by -1, which no size equals: what is chosen then does not change. What is taken from a
    // list is the same element as long as its place is.
    const [first, ...others] = inputs as [string, ...string[]];
    const decisive = op === 'Where' ? [first] : op === 'Slice' || op === 'Gather' ? others : inputs;
    const isMarked = op === 'Equal' && inputs.some(isMark);
    if (!isMarked && decisive.some(varies)) for (const output of outputs) found.add(output);
  }
  return found;
}

const isNegative = (lists: readonly ArrayLike<number | bigint>[]): boolean =>
  lists.every((list) => list.length > 0 && Array.from(list, Number).every((value) => value < 0));

/** Returns a value that has these sizes, or undefined if they are no sizes of the four or constants. */
function foldOne(graph: Graph, sizes: SizeNames, runs: readonly Evaluated[]): string | undefined {
  const [first] = runs as [Evaluated];
  if (first.dims.length > 1 || first.values.length > mostSizes) return undefined;
  if (runs.some((run) => run.dims.join() !== first.dims.join())) return undefined;
  if (first.type === 'float32') return foldFloats(graph, runs);
  if (first.type !== 'int64') return undefined;
  const entries = Array.from(first.values, (_, i) =>
    sizeAt(
      runs.map((run) => Number(run.values[i])),
      sizes,
    ),
  );
  if (entries.includes(undefined)) return undefined;
  const isScalar = first.dims.length === 0;
  const known = entries as (number | string)[];
  if (known.every((entry) => typeof entry === 'number')) return graph.int64(isScalar ? (known[0] as number) : known);
  const parts = known.map((entry) => (typeof entry === 'number' ? graph.int64([entry]) : entry));
  if (isScalar) return graph.add('Squeeze', [parts[0] as string, graph.int64([0])]);
  return parts.length === 1 ? parts[0] : graph.add('Concat', parts, { attributes: { axis: { i: 0 } } });
}

/** Returns a constant with the values of floats that are the same in each probe, such as the factor of a head's size. */
function foldFloats(graph: Graph, runs: readonly Evaluated[]): string | undefined {
  const [first] = runs as [Evaluated];
  const values = Float32Array.from(first.values, Number);
  if (runs.some((run) => !values.every((value, i) => value === run.values[i]))) return undefined;
  const name = graph.freshName('size');
  graph.initializers.set(name, float32Tensor(values, first.dims));
  return name;
}

/** Returns a number, or the name of the size that has these values in the probes. */
function sizeAt(values: readonly number[], sizes: SizeNames): number | string | undefined {
  if (values.every((value) => value === values[0])) return values[0];
  const is = (size: (probe: Probe) => number): boolean => sizeProbes.every((probe, i) => size(probe) === values[i]);
  if (is(({ rows }) => rows)) return sizes.rows;
  if (is(({ tokens }) => tokens)) return sizes.tokens;
  if (is(({ past }) => past)) return sizes.past;
  return is(({ past, tokens }) => past + tokens) ? sizes.total : undefined;
}

/** Makes a Reshape copy sizes from its input where it can: 0 stands for the input's size of the same axis. */
function copyDims(
  graph: Graph,
  node: Node,
  producers: ReadonlyMap<string, Node>,
  sizes: SizeNames,
  dims: ProbedDims,
): void {
  const [data = '', shape = ''] = node.inputs;
  const concat = producers.get(shape);
  const from = dims.get(data);
  if (concat?.op !== 'Concat' || from === undefined) return;
  let hasRest = concat.inputs.some((part) => constantIntsOf(graph, producers, part)?.[0] === -1);
  const entries = concat.inputs.map((part, axis) => {
    const constant = constantIntsOf(graph, producers, part);
    if (constant?.length === 1 && constant[0] !== 0) return constant[0];
    const size = sizeOf(part, sizes);
    if (size === undefined) return undefined;
    if (sizeProbes.every((probe, i) => size(probe) === from[i]?.[axis])) return 0;
    if (hasRest) return undefined;
    hasRest = true;
    return -1;
  });
  if (entries.includes(undefined)) return;
  const { allowzero: _, ...attributes } = node.attributes;
  graph.replaceNode(node, [{ ...node, inputs: [data, graph.int64(entries as number[])], attributes }]);
}

const reshapes = (graph: Graph): Node[] => graph.nodes.filter(({ op, domain }) => op === 'Reshape' && domain === '');

/** Removes each Reshape that changes no shape. */
function dropIdle(graph: Graph, dims: ProbedDims): void {
  const kept = new Map<string, string>();
  const source = (name: string): string => kept.get(name) ?? name;
  // Sorted, so that a Reshape of what another leaves as it is reads the first value.
  for (const { inputs, outputs } of reshapes(graph)) {
    const [input, output] = [inputs[0] as string, outputs[0] as string];
    const [from, to] = [dims.get(input), dims.get(output)];
    const isIdle = from?.every((shape, i) => shape.join() === to?.[i]?.join()) ?? false;
    if (isIdle && !graph.outputs.has(output)) kept.set(output, source(input));
  }
  graph.nodes = graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(source) }));
}

function sizeOf(name: string, sizes: SizeNames): ((probe: Probe) => number) | undefined {
  if (name === sizes.rows) return ({ rows }) => rows;
  if (name === sizes.tokens) return ({ tokens }) => tokens;
  if (name === sizes.past) return ({ past }) => past;
  return name === sizes.total ? ({ past, tokens }) => past + tokens : undefined;
}
