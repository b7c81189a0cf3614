/**
 * Rewrites a decoder's graph into the one form that the decode and training variants start from. Exporters write the
 * same decoder in several forms; these are understood:
 *
 * - Attention that is spelled out becomes GroupQueryAttention (`attention/`).
 * - GroupQueryAttention that splits a packed query-key-value gets a Split before it.
 * - GroupQueryAttention that rotates (`do_rotary`), whole heads or a part of each, gets a RotaryEmbedding on query and key
 *   before it, with `position_ids`. That becomes an input if the export has none.
 * - GroupQueryAttention with norms of query and key (`q_norm_weight`) gets a SimplifiedLayerNormalization of each head
 *   before the rotation.
 * - GroupQueryAttention with a cache that holds a window only (`sliding_window_cache`) gets the whole cache, in which the
 *   window alone decides what a token sees.
 * - A head size that the shapes of the cache leave open is read from the weights.
 * - RMSNormalization of ai.onnx 23 becomes the SimplifiedLayerNormalization that it was before.
 * - SkipSimplifiedLayerNormalization becomes an Add and a SimplifiedLayerNormalization; onnxruntime fuses them again.
 * - Weights without the name of a module (`onnx::MatMul_123`) are named after their node.
 *
 * Before that, every known operator is checked against its form in `operators/table.ts`, and refused if rewriting it
 * would drop something.
 */

import { HoneError } from '../errors.js';
import { type Graph, microsoft, type Node, numberAttribute, readModel } from '../onnx/index.js';
import { fuseAttention } from './attention/fuse-attention.js';
import { fixHeadSize } from './head-sizes.js';
import { headSizeOf } from './lowering.js';
import { isModuleWeight, moduleOf } from './module-names.js';
import { checkForm, refuseNode } from './operators/form.js';
import { operatorOf } from './operators/table.js';
import { freeReservedNames } from './reserved-names.js';

/** Reads a decoder file and normalizes it. @throws HoneError `MODEL_INVALID`, `OPERATOR_UNSUPPORTED` */
export async function readDecoder(modelPath: string): Promise<Graph> {
  return normalizeDecoder(await fuseAttention(await readModel(modelPath)));
}

/** Returns the normal form of a decoder as a new graph. @throws HoneError `OPERATOR_UNSUPPORTED` */
export function normalizeDecoder(source: Graph): Graph {
  const graph = source.clone();
  dropDeadNodes(graph);
  checkForms(graph);
  freeReservedNames(graph);
  const consumers = graph.consumers();
  for (const node of [...graph.nodes]) {
    if (node.op === 'RMSNormalization' && node.domain === '') {
      graph.replaceNode(node, [{ ...node, op: 'SimplifiedLayerNormalization' }]);
    }
    if (node.domain !== microsoft) continue;
    if (node.op === 'SkipSimplifiedLayerNormalization') splitSkipNorm(graph, node);
    if (node.op === 'GroupQueryAttention') {
      fixHeadSize(graph, node, consumers);
      unfuseAttention(graph, node);
    }
  }
  nameWeights(graph);
  return graph;
}

/** Removes the nodes that no output needs, so that they are not checked and cannot be the reason for a refusal. */
function dropDeadNodes(graph: Graph): void {
  const needed = graph.clone();
  needed.prune();
  const live = new Set(needed.nodes);
  graph.nodes = graph.nodes.filter((node) => live.has(node));
}

/** Oldest operator set in which all operators that Hone adds exist with their present meaning. */
const oldestOpset = 18;

function checkForms(graph: Graph): void {
  const opset = graph.opsets.get('') ?? 0;
  if (opset < oldestOpset) {
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `the operators are those of ai.onnx ${opset}, but Hone reads ${oldestOpset} and later only; export the model with ` +
        `opset ${oldestOpset} or later`,
    );
  }
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const isRead = (value: string): boolean => read.has(value) || graph.outputs.has(value);
  for (const node of graph.nodes) {
    if (node.domain !== '' && node.domain !== microsoft) {
      throw refuseNode(
        node,
        `Hone does not know operators of ${node.domain}`,
        'export the model with operators of ai.onnx and com.microsoft',
      );
    }
    const form = operatorOf(node);
    if (form !== undefined) checkForm(node, form, isRead);
  }
}

/** Indices of inputs of GroupQueryAttention. */
const place = { key: 1, value: 2, pastKey: 3, cos: 7, sin: 8, positions: 9, queryNorm: 14, keyNorm: 15 } as const;

function unfuseAttention(graph: Graph, node: Node): void {
  const given = (index: number): string => node.inputs[index] ?? '';
  let [query, key, value] = node.inputs as [string, string, string];
  if (given(place.key) === '' && given(place.value) === '') [query, key, value] = splitPacked(graph, node);
  if (key === '' || value === '') {
    throw refuseNode(node, 'it has a key without a value, or a value without a key', 'export the model again');
  }
  const {
    do_rotary: _,
    rotary_interleaved: __,
    qk_norm_epsilon: ___,
    sliding_window_cache: slides,
    ...attributes
  } = node.attributes;
  if (slides !== undefined && 'i' in slides && slides.i !== 0 && numberAttribute(node, 'local_window_size', -1) < 1) {
    throw refuseNode(node, 'it has sliding_window_cache without a local_window_size', 'export the model again');
  }
  const heads = numberAttribute(node, 'num_heads', 0);
  const kvHeads = numberAttribute(node, 'kv_num_heads', 0);
  const norms = [given(place.queryNorm), given(place.keyNorm)] as const;
  if (norms.some((weight) => weight !== '')) {
    if (norms.includes('')) {
      throw refuseNode(
        node,
        'it has a norm of the query without one of the key, or the reverse',
        'export the model again',
      );
    }
    query = normHeads(graph, node, query, norms[0], heads);
    key = normHeads(graph, node, key, norms[1], kvHeads);
  }
  if (numberAttribute(node, 'do_rotary', 0) > 0) {
    const rotate = rotation(graph, node, given(place.cos), given(place.sin), given(place.positions));
    [query, key] = [rotate(query, heads), rotate(key, kvHeads)];
  }
  const unread = [place.cos, place.sin, place.positions].find((index) => given(index) !== '');
  if (unread !== undefined && numberAttribute(node, 'do_rotary', 0) === 0) {
    throw refuseNode(
      node,
      `input ${unread} (${given(unread)}) is for rotary positions, but do_rotary is not set`,
      'export the model again',
    );
  }
  const inputs = [query, key, value, ...node.inputs.slice(place.pastKey, place.cos)];
  graph.replaceNode(node, [{ ...node, inputs, attributes }]);
}

/** Splits [B, S, (heads + 2 kvHeads) * headSize] into query, key and value. */
function splitPacked(graph: Graph, node: Node): [string, string, string] {
  const heads = numberAttribute(node, 'num_heads', 0);
  const kvHeads = numberAttribute(node, 'kv_num_heads', 0);
  const headSize = headSizeOf(graph, node);
  const outputs = ['query', 'key', 'value'].map((part) => graph.freshName(part)) as [string, string, string];
  const sizes = graph.int64([heads, kvHeads, kvHeads].map((count) => count * headSize));
  graph.add('Split', [node.inputs[0] as string, sizes], { attributes: { axis: { i: -1 } }, outputs });
  return outputs;
}

/** The default in onnxruntime's schema of the attention operator. */
const headNormEpsilon = 1e-6;

/** Adds an RMS norm of each head of a value [B, S, heads * headSize], as the attention operator computed it. */
function normHeads(graph: Graph, node: Node, value: string, weight: string, heads: number): string {
  const headSize = headSizeOf(graph, node);
  const byHead = graph.add('Reshape', [value, graph.int64([0, 0, heads, headSize])]);
  const epsilon = { f: numberAttribute(node, 'qk_norm_epsilon', headNormEpsilon) };
  const normed = graph.add('SimplifiedLayerNormalization', [byHead, weight], {
    attributes: { axis: { i: -1 }, epsilon, stash_type: { i: 1 } },
  });
  return graph.add('Reshape', [normed, graph.int64([0, 0, heads * headSize])]);
}

/** Returns a function that adds a rotation of a value [B, S, heads * headSize], as the attention operator computed it. */
function rotation(
  graph: Graph,
  node: Node,
  cos: string,
  sin: string,
  given: string,
): (value: string, heads: number) => string {
  const headSize = headSizeOf(graph, node);
  const widths = [cos, sin].map((table) => graph.initializers.get(table)?.dims[1]);
  if (widths.some((width) => width === undefined)) {
    throw refuseNode(
      node,
      'its rotary tables are computed, but Hone reads constant tables only',
      'export the model with constant tables, or for a context that needs one table only',
    );
  }
  const [width = 0, another = 0] = widths;
  if (width !== another || width < 1 || width > headSize / 2) {
    throw refuseNode(
      node,
      `its rotary tables have the width ${widths.join(' and ')}, which does not fit heads of size ${headSize}`,
      'export the model again',
    );
  }
  const positions = given === '' ? 'position_ids' : given;
  if (given === '' && !graph.inputs.has(positions)) {
    graph.inputs.set(positions, { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  }
  const interleaved = { i: numberAttribute(node, 'rotary_interleaved', 0) };
  return (value, heads) => {
    const part = width === headSize / 2 ? {} : { num_heads: { i: heads }, rotary_embedding_dim: { i: 2 * width } };
    const attributes = { interleaved, ...part };
    return graph.add('RotaryEmbedding', [value, positions, cos, sin], { domain: microsoft, attributes });
  };
}

/** The default in onnxruntime's schema. The default of SimplifiedLayerNormalization is another one, 1e-5. */
const skipNormEpsilon = 1e-12;

/** output = norm(input + skip + bias) * gamma; the sum may be an output too. */
function splitSkipNorm(graph: Graph, node: Node): void {
  const [input, skip, gamma, bias = ''] = node.inputs as [string, string, string, string?];
  const [output, , , sum = ''] = node.outputs as [string, string?, string?, string?];
  const total = sum === '' ? {} : { outputs: [sum] };
  const added =
    bias === ''
      ? graph.add('Add', [input, skip], total)
      : graph.add('Add', [graph.add('Add', [input, skip]), bias], total);
  const epsilon = { f: numberAttribute(node, 'epsilon', skipNormEpsilon) };
  const norm: Node = {
    ...node,
    op: 'SimplifiedLayerNormalization',
    domain: '',
    inputs: [added, gamma],
    outputs: [output],
    attributes: { axis: { i: -1 }, epsilon, stash_type: { i: 1 } },
  };
  graph.replaceNode(node, [norm]);
}

/**
 * Gives a weight that one product reads the name of that product's module, because adapters are named after modules.
 */
function nameWeights(graph: Graph): void {
  const consumers = graph.consumers();
  const producers = graph.producers();
  const isTaken = (name: string): boolean =>
    graph.initializers.has(name) || producers.has(name) || graph.inputs.has(name) || graph.outputs.has(name);
  for (const node of graph.nodes) {
    const weight = node.op === 'MatMul' ? (node.inputs[1] as string) : '';
    const tensor = graph.initializers.get(weight);
    if (tensor?.dims.length !== 2 || consumers.get(weight)?.length !== 1) continue;
    const module = moduleOf(node);
    const name = `${module}.weight`;
    if (module === undefined || name === weight || isTaken(name)) continue;
    if (node.module === undefined && isModuleWeight(weight)) continue;
    graph.initializers.delete(weight);
    graph.initializers.set(name, tensor);
    graph.replaceUses(weight, name);
  }
}
