/**
 * Real exports, brought into the one form that decode and training variants start from. Graph in, graph out; nothing
 * here knows of a cache or of gradients.
 *
 * - GroupQueryAttention that splits a packed query-key-value: a Split before it.
 * - GroupQueryAttention that rotates (`do_rotary`): a RotaryEmbedding on query and key before it, with `position_ids`,
 *   which becomes an input where the export has none.
 * - SkipSimplifiedLayerNormalization: an Add and a SimplifiedLayerNormalization; onnxruntime fuses them again.
 * - Weights without a module's name (`onnx::MatMul_123`): the name that their node tells.
 */

import { HoneError } from '../errors.js';
import { type Graph, microsoft, type Node, numberAttribute, readModel } from '../onnx/index.js';

/** Reads a decoder file and normalizes it. @throws HoneError `MODEL_INVALID`, `OPERATOR_UNSUPPORTED` */
export async function readDecoder(modelPath: string): Promise<Graph> {
  return normalizeDecoder(await readModel(modelPath));
}

/** The normal form of a decoder, in a copy. @throws HoneError `OPERATOR_UNSUPPORTED` */
export function normalizeDecoder(source: Graph): Graph {
  const graph = source.clone();
  for (const node of [...graph.nodes]) {
    if (node.domain !== microsoft) continue;
    if (node.op === 'SkipSimplifiedLayerNormalization') splitSkipNorm(graph, node);
    if (node.op === 'GroupQueryAttention') unfuseAttention(graph, node);
  }
  nameWeights(graph);
  return graph;
}

/** Inputs of GroupQueryAttention by place. */
const place = { key: 1, value: 2, pastKey: 3, cos: 7, sin: 8, positions: 9, bias: 10, sink: 11 } as const;

function unfuseAttention(graph: Graph, node: Node): void {
  const given = (index: number): string => node.inputs[index] ?? '';
  for (const index of [place.bias, place.sink]) {
    if (given(index) === '') continue;
    throw new HoneError('OPERATOR_UNSUPPORTED', `${node.name}: GroupQueryAttention with input ${index} is not read`);
  }
  let [query, key, value] = node.inputs as [string, string, string];
  if (key === '' && value === '') [query, key, value] = splitPacked(graph, node);
  const { do_rotary: _, rotary_interleaved: __, ...attributes } = node.attributes;
  if (numberAttribute(node, 'do_rotary', 0) > 0) {
    const rotate = rotation(graph, node, given(place.cos), given(place.sin), given(place.positions));
    [query, key] = [rotate(query), rotate(key)];
  }
  const inputs = [query, key, value, ...node.inputs.slice(place.pastKey, place.cos)];
  graph.replaceNode(node, [{ ...node, inputs, attributes }]);
}

/** [B, S, (heads + 2 kvHeads) * headSize] into its three parts. */
function splitPacked(graph: Graph, node: Node): [string, string, string] {
  const heads = numberAttribute(node, 'num_heads', 0);
  const kvHeads = numberAttribute(node, 'kv_num_heads', 0);
  const headSize = graph.inputs.get(node.inputs[place.pastKey] ?? '')?.dims[3];
  if (typeof headSize !== 'number') {
    throw new HoneError('OPERATOR_UNSUPPORTED', `${node.name}: the head size of a packed query-key-value is not known`);
  }
  const outputs = ['query', 'key', 'value'].map((part) => graph.freshName(part)) as [string, string, string];
  const sizes = graph.int64([heads, kvHeads, kvHeads].map((count) => count * headSize));
  graph.add('Split', [node.inputs[0] as string, sizes], { attributes: { axis: { i: -1 } }, outputs });
  return outputs;
}

/** What rotates a value [B, S, n * headSize] as the operator did. */
function rotation(graph: Graph, node: Node, cos: string, sin: string, given: string): (value: string) => string {
  const width = graph.initializers.get(cos)?.dims[1];
  const headSize = graph.inputs.get(node.inputs[place.pastKey] ?? '')?.dims[3];
  if (width === undefined || sin === '' || width * 2 !== headSize) {
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `${node.name}: rotary positions need constant tables for the whole head of size ${headSize}`,
    );
  }
  const positions = given === '' ? 'position_ids' : given;
  if (given === '' && !graph.inputs.has(positions)) {
    graph.inputs.set(positions, { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  }
  const attributes = { interleaved: { i: numberAttribute(node, 'rotary_interleaved', 0) } };
  return (value) => graph.add('RotaryEmbedding', [value, positions, cos, sin], { domain: microsoft, attributes });
}

/** output = norm(input + skip + bias) * gamma; the sum may be an output, too. */
function splitSkipNorm(graph: Graph, node: Node): void {
  const [input, skip, gamma, bias = ''] = node.inputs as [string, string, string, string?];
  const [output, mean = '', inverse = '', sum = ''] = node.outputs as [string, string?, string?, string?];
  if (mean !== '' || inverse !== '') {
    throw new HoneError('OPERATOR_UNSUPPORTED', `${node.name}: ${node.op} whose mean or deviation is read`);
  }
  const total = sum === '' ? {} : { outputs: [sum] };
  const added =
    bias === ''
      ? graph.add('Add', [input, skip], total)
      : graph.add('Add', [graph.add('Add', [input, skip]), bias], total);
  const epsilon = { f: numberAttribute(node, 'epsilon', 1e-5) };
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

/** Adapters are named after modules: a weight that one product reads gets the name of that product's module. */
function nameWeights(graph: Graph): void {
  const consumers = graph.consumers();
  for (const node of graph.nodes) {
    const weight = node.op === 'MatMul' ? (node.inputs[1] as string) : '';
    const tensor = graph.initializers.get(weight);
    if (tensor?.dims.length !== 2 || consumers.get(weight)?.length !== 1) continue;
    const module = moduleOf(node.name);
    const name = `${module}.weight`;
    if (module === undefined || name === weight || graph.initializers.has(name) || isModuleWeight(weight)) continue;
    graph.initializers.delete(weight);
    graph.initializers.set(name, tensor);
    graph.replaceUses(weight, name);
  }
}

/** A name that a checkpoint has, as `model.layers.0.mlp.up_proj.weight`. */
function isModuleWeight(weight: string): boolean {
  return /\.layers\.\d+\..*\.weight$/.test(weight) && !/\.MatMul\.weight$/.test(weight);
}

/**
 * The module path that a node's name tells: `/model/layers.0/attn/q_proj/MatMul` is `model.layers.0.self_attn.q_proj`,
 * as in the checkpoint. Undefined for nodes outside the blocks.
 */
function moduleOf(node: string): string | undefined {
  const path = /^\/?(.*layers[./]\d+[./].+)[./]MatMul(?:_\w+)?$/.exec(node)?.[1];
  return path?.replaceAll('/', '.').replace(/(\.layers\.\d+\.)attn\./, '$1self_attn.');
}
