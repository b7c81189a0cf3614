/**
 * Spells the Attention operator of ai.onnx 23 and later out, so that it is measured like attention that a file spells out
 * itself. The operator's mask is an input like any other there.
 */

import { type Graph, type Node, numberAttribute } from '../../onnx/index.js';
import { checkForm, float, int, type OperatorForm, refuseNode } from '../operators/form.js';

const form: OperatorForm = {
  inputs: ['Q', 'K', 'V', 'attn_mask', 'past_key', 'past_value', null],
  outputs: ['Y', 'present_key', 'present_value', null],
  attributes: {
    // Where queries stand among keys is told by the mask only; the operator's own mask means other things in opset 23 and 24.
    is_causal: int(0),
    q_num_heads: int(),
    kv_num_heads: int(),
    qk_matmul_output_mode: int(0),
    scale: float(),
    softcap: float(),
    softmax_precision: int(1),
  },
  refusals: {
    is_causal: {
      means: 'a causal mask of its own',
      remedy: 'export the model with a cache, which has a mask as input',
    },
    'input 6': { means: 'a cache of a fixed size', remedy: 'export the model with a cache that grows' },
  },
};

/** Replaces each Attention operator of a graph in place. @throws HoneError `OPERATOR_UNSUPPORTED` */
export function spellOperators(graph: Graph): void {
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  for (const node of graph.nodes.filter(({ op, domain }) => op === 'Attention' && domain === '')) {
    checkForm(node, form, (value) => read.has(value) || graph.outputs.has(value));
    spell(graph, node);
    graph.removeNodes(new Set([node]));
  }
}

function spell(graph: Graph, node: Node): void {
  const [output = '', presentKey = '', presentValue = ''] = node.outputs;
  const [, , , mask = '', pastKey = '', pastValue = ''] = node.inputs;
  const [query, key, value] = headsOf(graph, node);
  const keys = appended(graph, pastKey, key, presentKey);
  const values = appended(graph, pastValue, value, presentValue);
  const transposed = graph.add('Transpose', [repeated(graph, keys, query)], {
    attributes: { perm: { is: [0, 1, 3, 2] } },
  });
  let scores = graph.add('Mul', [graph.add('MatMul', [query, transposed]), scaleOf(graph, node, query)]);
  const softcap = numberAttribute(node, 'softcap', 0);
  if (softcap !== 0) {
    const bound = graph.float(softcap);
    scores = graph.add('Mul', [graph.add('Tanh', [graph.add('Div', [scores, bound])]), bound]);
  }
  if (mask !== '') scores = masked(graph, scores, mask);
  const weights = graph.add('Softmax', [scores], { name: node.name, attributes: { axis: { i: -1 } } });
  const mixing = [weights, repeated(graph, values, query)];
  if (numberAttribute(node, 'q_num_heads', 0) === 0) {
    graph.add('MatMul', mixing, { outputs: [output] });
    return;
  }
  const mixed = graph.add('Transpose', [graph.add('MatMul', mixing)], { attributes: { perm: { is: [0, 2, 1, 3] } } });
  graph.add('Reshape', [mixed, graph.int64([0, 0, -1])], { outputs: [output] });
}

/** Returns queries, keys and values as [B, heads, S, size]. With numbers of heads, the operator takes [B, S, heads * size]. */
function headsOf(graph: Graph, node: Node): [string, string, string] {
  const counts = ['q_num_heads', 'kv_num_heads', 'kv_num_heads'].map((name) => numberAttribute(node, name, 0));
  return node.inputs.slice(0, 3).map((value, i) => {
    const count = counts[i] as number;
    if (count === 0) return value;
    const apart = graph.add('Reshape', [value, graph.int64([0, 0, count, -1])]);
    return graph.add('Transpose', [apart], { attributes: { perm: { is: [0, 2, 1, 3] } } });
  }) as [string, string, string];
}

function appended(graph: Graph, past: string, value: string, present: string): string {
  const outputs = present === '' ? {} : { outputs: [present] };
  if (past === '') return present === '' ? value : graph.add('Identity', [value], outputs);
  return graph.add('Concat', [past, value], { ...outputs, attributes: { axis: { i: 2 } } });
}

/** Repeats each head of keys or values for the queries that share it. */
function repeated(graph: Graph, value: string, query: string): string {
  const sizes = (of: string, start: number, end: number): string =>
    graph.add('Shape', [of], { attributes: { start: { i: start }, end: { i: end } } });
  const joined = (...parts: string[]): string => graph.add('Concat', parts, { attributes: { axis: { i: 0 } } });
  const heads = sizes(query, 1, 2);
  const group = graph.add('Div', [heads, sizes(value, 1, 2)]);
  const apart = graph.add('Unsqueeze', [value, graph.int64([2])]);
  const expanded = graph.add('Expand', [apart, joined(sizes(value, 0, 2), group, sizes(value, 2, 4))]);
  return graph.add('Reshape', [expanded, joined(sizes(value, 0, 1), heads, sizes(value, 2, 4))]);
}

/** The factor of the scores, by default the reciprocal of the root of a head's size. */
function scaleOf(graph: Graph, node: Node, query: string): string {
  const scale = numberAttribute(node, 'scale', 0);
  if (scale !== 0) return graph.float(scale);
  const size = graph.add('Shape', [query], { attributes: { start: { i: 3 }, end: { i: 4 } } });
  return graph.add('Reciprocal', [graph.add('Sqrt', [graph.add('Cast', [size], { attributes: { to: { i: 1 } } })])]);
}

/** Operators whose result is true or false, and those that only move it. */
const logical: ReadonlySet<string> = new Set(
  'And Or Xor Not Equal Less LessOrEqual Greater GreaterOrEqual IsNaN'.split(' '),
);
const moving: ReadonlySet<string> = new Set('Expand Unsqueeze Squeeze Reshape Slice Transpose Identity'.split(' '));

/** Adds a mask of floats, or lets one of true and false choose. onnxruntime refuses the graph if the kind is mistaken. */
function masked(graph: Graph, scores: string, mask: string): string {
  const producers = graph.producers();
  let node = producers.get(mask);
  while (node !== undefined && moving.has(node.op)) node = producers.get(node.inputs[0] as string);
  if (node === undefined) {
    const what = graph.nodes.find(({ inputs }) => inputs.includes(mask)) as Node;
    throw refuseNode(
      what,
      `its mask ${mask} is no result of an operator`,
      'export the model with attention_mask as input',
    );
  }
  const isChoice = logical.has(node.op) || (node.op === 'Cast' && numberAttribute(node, 'to', 1) === 9);
  if (!isChoice) return graph.add('Add', [scores, mask]);
  return graph.add('Where', [mask, scores, graph.float(Number.NEGATIVE_INFINITY)]);
}
