/** Spells the attention of the tiny decoder out, as exporters do that do not fuse it. */

import { type Graph, type Node, numberAttribute } from '../../src/onnx/index.js';

/** How attention is spelled. */
export interface Spelling {
  /** A mask that is added, or one that chooses between a score and minus infinity. */
  readonly mask: 'added' | 'chosen';
  /** Where the factor of the scores stands: on the scores, or the root of it on query and key. */
  readonly factor: 'scores' | 'roots';
  readonly window?: number;
  readonly softcap?: number;
  /** Changes the scores between the mask and the softmax. */
  readonly change?: (graph: Graph, scores: string, positions: Positions) => string;
  /** Changes which keys [.., S, T] are seen. */
  readonly seen?: (graph: Graph, positions: Positions) => string;
}

/** Numbers of columns of the cache: of all keys [T], and of the queries [S, 1]. */
export interface Positions {
  readonly keys: string;
  readonly queries: string;
  /** Of the queries, [S]. */
  readonly counted: string;
}

/** Replaces each GroupQueryAttention by the operators that compute the same. */
export const spellOut =
  (spelling: Spelling) =>
  (graph: Graph): void => {
    const positions = addPositions(graph);
    const seen = seenKeys(graph, spelling, positions);
    for (const node of graph.nodes.filter(({ op }) => op === 'GroupQueryAttention')) {
      graph.removeNodes(new Set([node]));
      spell(graph, node, spelling, positions, seen);
    }
  };

/** The size of a head, as the shape of the cache tells it. */
const headSizeOf = (graph: Graph): number => graph.inputs.get('past_key_values.0.key')?.dims[3] as number;

function sizeOf(graph: Graph, value: string, axis: number): string {
  return graph.add('Gather', [graph.add('Shape', [value]), graph.int64(axis)], { attributes: { axis: { i: 0 } } });
}

function addPositions(graph: Graph): Positions {
  const past = sizeOf(graph, 'past_key_values.0.key', 2);
  const total = graph.add('Add', [past, sizeOf(graph, 'input_ids', 1)]);
  const counted = graph.add('Range', [past, total, graph.int64(1)]);
  return {
    keys: graph.add('Range', [graph.int64(0), total, graph.int64(1)]),
    queries: graph.add('Unsqueeze', [counted, graph.int64([1])]),
    counted,
  };
}

function seenKeys(graph: Graph, { window, seen }: Spelling, positions: Positions): string {
  const causal = seen?.(graph, positions) ?? graph.add('LessOrEqual', [positions.keys, positions.queries]);
  const given = graph.add('Cast', ['attention_mask'], { attributes: { to: { i: 9 } } });
  const all = graph.add('And', [causal, graph.add('Unsqueeze', [given, graph.int64([1, 2])])]);
  if (window === undefined) return all;
  const first = graph.add('Sub', [positions.queries, graph.int64(window)]);
  return graph.add('And', [graph.add('Greater', [positions.keys, first]), all]);
}

function spell(graph: Graph, node: Node, spelling: Spelling, positions: Positions, seen: string): void {
  const [query, key, value, pastKey, pastValue] = node.inputs as [string, string, string, string, string];
  const [output, presentKey, presentValue] = node.outputs as [string, string, string];
  const headSize = headSizeOf(graph);
  const heads = numberAttribute(node, 'num_heads', 0);
  const kvHeads = numberAttribute(node, 'kv_num_heads', 0);
  const turned = (from: string, count: number): string =>
    graph.add('Transpose', [graph.add('Reshape', [from, graph.int64([0, 0, count, headSize])])], {
      attributes: { perm: { is: [0, 2, 1, 3] } },
    });
  const cached = (past: string, from: string, present: string): string =>
    graph.add('Concat', [past, turned(from, kvHeads)], { attributes: { axis: { i: -2 } }, outputs: [present] });
  const keys = repeat(graph, cached(pastKey, key, presentKey), kvHeads, heads);
  const values = repeat(graph, cached(pastValue, value, presentValue), kvHeads, heads);
  const transposed = graph.add('Transpose', [keys], { attributes: { perm: { is: [0, 1, 3, 2] } } });
  const factor = numberAttribute(node, 'scale', 0) || 1 / Math.sqrt(headSize);
  const isOnScores = spelling.factor === 'scores';
  const half = (from: string): string =>
    isOnScores ? from : graph.add('Mul', [from, graph.add('Sqrt', [graph.float(factor)])]);
  let scores = graph.add('MatMul', [half(turned(query, heads)), half(transposed)]);
  if (isOnScores) scores = graph.add('Div', [scores, graph.float(1 / factor)]);
  if (spelling.softcap !== undefined) {
    const bound = graph.float(spelling.softcap);
    scores = graph.add('Mul', [graph.add('Tanh', [graph.add('Div', [scores, bound])]), bound]);
  }
  scores = spelling.change?.(graph, scores, positions) ?? scores;
  const lowest = graph.float(spelling.mask === 'added' ? -3.4028234663852886e38 : Number.NEGATIVE_INFINITY);
  const masked =
    spelling.mask === 'added'
      ? graph.add('Add', [scores, graph.add('Where', [seen, graph.float(0), lowest])])
      : graph.add('Where', [seen, scores, lowest]);
  let weights = graph.add('Softmax', [masked], { attributes: { axis: { i: -1 } }, name: `${node.name}/Softmax` });
  if (spelling.mask === 'chosen') {
    weights = graph.add('Where', [graph.add('IsNaN', [weights]), graph.float(0), weights]);
  }
  const mixed = graph.add('Transpose', [graph.add('MatMul', [weights, values])], {
    attributes: { perm: { is: [0, 2, 1, 3] } },
  });
  const shape = [0, 1].map((axis) => graph.add('Unsqueeze', [sizeOf(graph, query, axis), graph.int64([0])]));
  const width = graph.add('Concat', [...shape, graph.int64([heads * headSize])], { attributes: { axis: { i: 0 } } });
  graph.add('Reshape', [mixed, width], { outputs: [output] });
}

/** Repeats each head of keys or values for the queries that share it. */
function repeat(graph: Graph, value: string, kvHeads: number, heads: number): string {
  const headSize = headSizeOf(graph);
  const [rows, columns] = [0, 2].map((axis) => graph.add('Unsqueeze', [sizeOf(graph, value, axis), graph.int64([0])]));
  const shape = (...counts: number[]): string =>
    graph.add(
      'Concat',
      [rows, ...counts.map((count) => graph.int64([count])), columns, graph.int64([headSize])] as string[],
      {
        attributes: { axis: { i: 0 } },
      },
    );
  const apart = graph.add('Unsqueeze', [value, graph.int64([2])]);
  const expanded = graph.add('Expand', [apart, shape(kvHeads, heads / kvHeads)]);
  return graph.add('Reshape', [expanded, shape(heads)]);
}

/**
 * Spells the rotation of queries and keys out, with angles that are computed from `position_ids`, or from positions that
 * are counted from the length of the cache.
 */
export const spellRotation =
  (origin: 'given' | 'counted') =>
  (graph: Graph): void => {
    const given =
      origin === 'given' ? 'position_ids' : graph.add('Unsqueeze', [addPositions(graph).counted, graph.int64([0])]);
    if (origin === 'counted') graph.inputs.delete('position_ids');
    const headSize = headSizeOf(graph);
    const half = headSize / 2;
    const frequencies = graph.freshName('frequencies');
    const powers = Float32Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
    graph.initializers.set(frequencies, { type: 'float32', dims: [1, half, 1], data: new Uint8Array(powers.buffer) });
    const rows = graph.add('Unsqueeze', [sizeOf(graph, given, 0), graph.int64([0])]);
    const shape = graph.add('Concat', [rows, graph.int64([-1]), graph.int64([1])], { attributes: { axis: { i: 0 } } });
    const ones = graph.add('ConstantOfShape', [graph.int64([3])], { attributes: { value: { t: oneInt } } });
    const isOpen = graph.add('Equal', [shape, graph.add('Mul', [ones, graph.int64(-1)])]);
    const repeated = graph.add('Expand', [frequencies, graph.add('Where', [isOpen, ones, shape])]);
    const row = graph.add('Unsqueeze', [given, graph.int64([1])]);
    const positions = graph.add('Cast', [row], { attributes: { to: { i: 1 } } });
    const angles = graph.add('Transpose', [graph.add('MatMul', [repeated, positions])], {
      attributes: { perm: { is: [0, 2, 1] } },
    });
    const both = graph.add('Concat', [angles, angles], { attributes: { axis: { i: -1 } } });
    const [cos, sin] = ['Cos', 'Sin'].map((op) => graph.add('Unsqueeze', [graph.add(op, [both]), graph.int64([2])]));
    for (const node of graph.nodes.filter(({ op }) => op === 'RotaryEmbedding')) {
      const [input, output] = [node.inputs[0] as string, node.outputs[0] as string];
      const heads = graph.add('Reshape', [input, graph.int64([0, 0, -1, headSize])]);
      const middle = graph.add('Div', [sizeOf(graph, heads, 3), graph.int64(2)]);
      const at = graph.add('Unsqueeze', [middle, graph.int64([0])]);
      const part = (from: string, to: string): string => graph.add('Slice', [heads, from, to, graph.int64([3])]);
      const second = graph.add('Neg', [part(at, graph.int64([2 ** 31]))]);
      const swapped = graph.add('Concat', [second, part(graph.int64([0]), at)], { attributes: { axis: { i: -1 } } });
      const turned = graph.add('Add', [
        graph.add('Mul', [heads, cos as string]),
        graph.add('Mul', [swapped, sin as string]),
      ]);
      graph.removeNodes(new Set([node]));
      graph.add('Reshape', [turned, graph.int64([0, 0, -1])], { outputs: [output] });
    }
  };

/** Writes products and biases as Gemm, which takes the tokens of all rows as one matrix. */
export function spellGemm(graph: Graph): void {
  for (const node of graph.nodes.filter(({ op, inputs }) => op === 'MatMul' && /layers/.test(inputs[1] ?? ''))) {
    const [input, weight] = node.inputs as [string, string];
    const [inner = 0, outer = 0] = graph.initializers.get(weight)?.dims ?? [];
    const bias = graph.freshName('bias');
    const values = Float32Array.from({ length: outer }, (_, i) => 0.1 * Math.cos(i));
    graph.initializers.set(bias, { type: 'float32', dims: [outer], data: new Uint8Array(values.buffer) });
    const rows = graph.add('Reshape', [input, graph.int64([-1, inner])]);
    const sizes = [0, 1].map((axis) => graph.add('Unsqueeze', [sizeOf(graph, input, axis), graph.int64([0])]));
    const shape = graph.add('Concat', [...sizes, graph.int64([outer])], { attributes: { axis: { i: 0 } } });
    const product = graph.add('Gemm', [rows, weight, bias]);
    graph.removeNodes(new Set([node]));
    graph.add('Reshape', [product, shape], { outputs: node.outputs });
  }
}

const oneInt = { type: 'int64', dims: [1], data: new Uint8Array(BigInt64Array.of(1n).buffer) } as const;

/**
 * Replaces each GroupQueryAttention by the Attention operator of ai.onnx 23, which appends to the cache itself, or is given
 * the whole of it, split into heads.
 */
export const useOperator =
  (cache: 'appends' | 'is given', softcap = 0) =>
  (graph: Graph): void => {
    graph.opsets.set('', 23);
    const positions = addPositions(graph);
    const seen = seenKeys(graph, { mask: 'chosen', factor: 'scores' }, positions);
    const mask = graph.add('Where', [seen, graph.float(0), graph.float(Number.NEGATIVE_INFINITY)]);
    const perm = { attributes: { perm: { is: [0, 2, 1, 3] } } };
    for (const node of graph.nodes.filter(({ op }) => op === 'GroupQueryAttention')) {
      graph.removeNodes(new Set([node]));
      const [query, key, value, pastKey, pastValue] = node.inputs as [string, string, string, string, string];
      const [output, presentKey, presentValue] = node.outputs as [string, string, string];
      const heads = numberAttribute(node, 'num_heads', 0);
      const kvHeads = numberAttribute(node, 'kv_num_heads', 0);
      const bound = softcap === 0 ? {} : { softcap: { f: softcap } };
      if (cache === 'appends') {
        graph.add('Attention', [query, key, value, seen, pastKey, pastValue], {
          name: node.name,
          attributes: { q_num_heads: { i: heads }, kv_num_heads: { i: kvHeads }, ...bound },
          outputs: [output, presentKey, presentValue],
        });
        continue;
      }
      const apart = (from: string, count: number): string =>
        graph.add('Transpose', [graph.add('Reshape', [from, graph.int64([0, 0, count, headSizeOf(graph)])])], perm);
      const [keys, values] = [
        [pastKey, apart(key, kvHeads), presentKey],
        [pastValue, apart(value, kvHeads), presentValue],
      ].map(([past = '', added = '', present = '']) =>
        graph.add('Concat', [past, added], { attributes: { axis: { i: 2 } }, outputs: [present] }),
      ) as [string, string];
      const attributes = { scale: { f: 1 / Math.sqrt(headSizeOf(graph)) }, ...bound };
      const mixed = graph.add('Attention', [apart(query, heads), keys, values, mask], { name: node.name, attributes });
      graph.add('Reshape', [graph.add('Transpose', [mixed], perm), graph.int64([0, 0, -1])], { outputs: [output] });
    }
  };
