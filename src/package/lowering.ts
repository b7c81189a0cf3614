/**
 * Finds attention, head and linear layers in a decoder's graph and attaches adapters to the linear layers. The decode
 * and the training variant are both edits of the package's own file, and both start with this.
 */

import { HoneError } from '../errors.js';
import { type Graph, intsAttribute, microsoft, type Node, numberAttribute } from '../onnx/index.js';
import { isBlockModule } from './module-names.js';
import { describeNode, refuseNode } from './operators/form.js';
import { quantizedProduct } from './quantization/products.js';

/** One fused attention operator, which each variant replaces in its own way. */
export interface AttentionSite {
  readonly node: Node;
  readonly layer: number;
  /** [B, S, heads * headSize], after rotary positions. */
  readonly query: string;
  /** [B, S, kvHeads * headSize], after rotary positions. */
  readonly key: string;
  /** [B, S, kvHeads * headSize] */
  readonly value: string;
  /** [B, S, heads * headSize] */
  readonly output: string;
  readonly pastKey: string;
  readonly pastValue: string;
  readonly presentKey: string;
  readonly presentValue: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** The factor of the attention scores. */
  readonly scale: number;
  /** Keys that a token sees, its own and those of the tokens right before it; `null`: of all before it. */
  readonly window: number | null;
  /** Bound c of the scores, which become c * tanh(score / c) after the factor and before the mask; `null`: none. */
  readonly softcap: number | null;
}

/**
 * One linear layer `output = input W` whose weight is named after its module; the node is a MatMul or a MatMulNBits.
 */
export interface LinearSite {
  /** Module path as in the Hugging Face checkpoint, e.g. `model.layers.0.mlp.up_proj`. */
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly node: Node;
  readonly input: string;
  readonly weight: string;
  readonly output: string;
}

/**
 * Returns the attention operators of a decoder, in layer order.
 * @throws HoneError `OPERATOR_UNSUPPORTED` if the decoder has no GroupQueryAttention, or a cache of another form
 */
export function findAttention(graph: Graph): AttentionSite[] {
  checkHasAttention(graph);
  const sites: AttentionSite[] = [];
  for (const node of graph.nodes) {
    if (node.op !== 'GroupQueryAttention' || node.domain !== microsoft) continue;
    const [query, key, value, pastKey, pastValue] = node.inputs as [string, string, string, string, string];
    const [output, presentKey, presentValue] = node.outputs as [string, string, string];
    const headSize = headSizeOf(graph, node);
    const layer = Number(/^past_key_values\.(\d+)\.key$/.exec(pastKey)?.[1]);
    if (numberAttribute(node, 'do_rotary', 0) > 0) {
      throw new HoneError('INTERNAL', `${node.name}: rotary positions were not taken out of GroupQueryAttention`);
    }
    sites.push({
      node,
      layer,
      query,
      key,
      value,
      output,
      pastKey,
      pastValue,
      presentKey,
      presentValue,
      heads: numberAttribute(node, 'num_heads', 0),
      kvHeads: numberAttribute(node, 'kv_num_heads', 0),
      headSize,
      scale: numberAttribute(node, 'scale', 0) || 1 / Math.sqrt(headSize),
      window: windowOf(node),
      softcap: numberAttribute(node, 'softcap', 0) || null,
    });
  }
  return sites.sort((a, b) => a.layer - b.layer);
}

/** The operator writes -1 for attention to all keys, and takes a token's own key for granted. */
function windowOf(node: Node): number | null {
  const keys = numberAttribute(node, 'local_window_size', -1);
  if (keys === -1) return null;
  if (keys >= 1) return keys;
  throw refuseNode(node, `its window of ${keys} keys holds no key`, 'export the model again');
}

/** Adds the bound of an attention's scores, if it has one. */
export function capScores(graph: Graph, scores: string, softcap: AttentionSite['softcap']): string {
  if (softcap === null) return scores;
  const bounded = graph.add('Tanh', [graph.add('Mul', [scores, graph.float(1 / softcap)])]);
  return graph.add('Mul', [bounded, graph.float(softcap)]);
}

/** @throws HoneError `OPERATOR_UNSUPPORTED` if the decoder has no GroupQueryAttention */
export function checkHasAttention(graph: Graph): void {
  if (graph.nodes.some(({ op, domain }) => op === 'GroupQueryAttention' && domain === microsoft)) return;
  throw new HoneError(
    'OPERATOR_UNSUPPORTED',
    'the decoder has neither GroupQueryAttention operators nor attention that is spelled out with a Softmax and a cache ' +
      '(past_key_values.<layer>.key, present.<layer>.key); take or make such an export: Optimum (text-generation-with-' +
      'past) and the model builder of ONNX Runtime GenAI (-p fp32 -e cpu) write them',
  );
}

/**
 * Returns the size of a head, read from the shape of the cache.
 * @throws HoneError `OPERATOR_UNSUPPORTED` if the cache is not an input of the graph, or its shape leaves the size open
 */
export function headSizeOf(graph: Graph, node: Node): number {
  const pastKey = node.inputs[3] ?? '';
  const past = graph.inputs.get(pastKey);
  if (past === undefined || !/^past_key_values\.\d+\.key$/.test(pastKey)) {
    throw refuseNode(
      node,
      `its past keys are "${pastKey}", not an input past_key_values.<layer>.key`,
      'export the model as text-generation-with-past',
    );
  }
  const size = past.dims[3];
  if (typeof size === 'number') return size;
  throw refuseNode(
    node,
    `the shape of ${pastKey} leaves the head size open (${size ?? 'no fourth dimension'})`,
    'write the number into the shapes of the inputs past_key_values.* (dim_value instead of dim_param)',
  );
}

/** Operators that may stand between the head's product and the logits: each logit is scaled, shifted or bounded. */
const headTail: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Tanh', 'Identity']);

/**
 * Returns the product of the head, which computes the logits. Behind it, the file may treat each logit by itself: by
 * constants for all of them, or for each token of the vocabulary.
 * @throws HoneError `OPERATOR_UNSUPPORTED` if something else computes the logits
 */
export function findHead(graph: Graph): Node {
  const producers = graph.producers();
  const consumers = graph.consumers();
  let node = producers.get('logits');
  while (node !== undefined && node.domain === '' && headTail.has(node.op)) {
    const [source, another] = node.inputs.filter((input) => !isVector(graph, producers, input));
    const isOnly = source !== undefined && another === undefined && consumers.get(source)?.length === 1;
    const isFirst = node.op !== 'Sub' && node.op !== 'Div' ? true : node.inputs[0] === source;
    if (!isOnly || !isFirst) break;
    node = producers.get(source);
  }
  if (node !== undefined && ((node.op === 'MatMul' && node.domain === '') || quantizedProduct(graph, node)))
    return node;
  throw new HoneError(
    'OPERATOR_UNSUPPORTED',
    `the logits come from ${node === undefined ? 'no node' : describeNode(node)}, but Hone reads only decoders that end with ` +
      "the product by the head's weight (MatMul or MatMulNBits), behind which each logit is treated by itself; export " +
      'the model again, as text-generation-with-past',
  );
}

/**
 * Whether a value is a constant that adds no axis to a matrix.
 * @param producers of the graph
 */
export function isVector(graph: Graph, producers: ReadonlyMap<string, Node>, value: string): boolean {
  const constant = producers.get(value)?.attributes.value;
  const tensor = graph.initializers.get(value) ?? (constant !== undefined && 't' in constant ? constant.t : undefined);
  return tensor !== undefined && tensor.dims.length <= 1;
}

/**
 * Returns the [V, D] initializer that a Transpose reads, if `producer` is one. A head tied to the embedding reads such.
 */
export function transposedInitializer(graph: Graph, producer: Node | undefined): string | undefined {
  if (producer?.op !== 'Transpose' || producer.domain !== '') return undefined;
  const [source = ''] = producer.inputs;
  const perm = intsAttribute(producer, 'perm');
  if (graph.initializers.get(source)?.dims.length !== 2) return undefined;
  return perm === undefined || perm.join() === '1,0' ? source : undefined;
}

/**
 * Returns the linear layers of the decoder's blocks: each MatMul with an initializer `<module>.weight` [in, out], and
 * each MatMulNBits with one that was quantised from it (`<module>.weight_Q8`).
 */
export function findLinears(graph: Graph): LinearSite[] {
  const sites: LinearSite[] = [];
  const weights = new Map<string, string>();
  for (const node of graph.nodes) {
    const weight = plainWeight(graph, node) ?? quantizedProduct(graph, node);
    if (!weight?.module || !isBlockModule(weight.module)) continue;
    const { module, inFeatures, outFeatures } = weight;
    const [input, name] = node.inputs as [string, string];
    // Two nodes may read the same weight. A second weight of the same module is left out, because its name is taken.
    if ((weights.get(module) ?? name) !== name) continue;
    weights.set(module, name);
    sites.push({ node, module, input, weight: name, output: node.outputs[0] as string, inFeatures, outFeatures });
  }
  return sites;
}

function plainWeight(graph: Graph, node: Node): Pick<LinearSite, 'module' | 'inFeatures' | 'outFeatures'> | undefined {
  const name = node.inputs[1] ?? '';
  const dims = node.op === 'MatMul' ? graph.initializers.get(name)?.dims : undefined;
  if (dims?.length !== 2 || !name.endsWith('.weight')) return undefined;
  return {
    module: name.slice(0, -'.weight'.length),
    inFeatures: dims[0] as number,
    outFeatures: dims[1] as number,
  };
}

export const adapterInputA = (module: string): string => `${module}.lora_A`;
export const adapterInputB = (module: string): string => `${module}.lora_B`;

/**
 * Adds `+ scale * (x A) B` to each linear layer. A [in, r] and B [r, out] become graph inputs named after the module.
 * `x A` is computed first, because its result has only r columns. Layers that read the same x share one product with
 * their A side by side, because a product of 3 r columns costs little more than one of r.
 */
export function attachAdapters(graph: Graph, linears: readonly LinearSite[], rank: number, scale: number): void {
  const readers = new Map<string, LinearSite[]>();
  for (const site of linears) {
    graph.inputs.set(adapterInputA(site.module), { type: 'float32', dims: [site.inFeatures, rank] });
    graph.inputs.set(adapterInputB(site.module), { type: 'float32', dims: [rank, site.outFeatures] });
    readers.set(site.input, [...(readers.get(site.input) ?? []), site]);
  }
  for (const [input, sites] of readers) {
    const down = downProducts(graph, input, sites);
    for (const [i, { node, module, output }] of sites.entries()) {
      const base = graph.freshName(`${module}.base`);
      graph.replaceNode(node, [{ ...node, outputs: [base] }]);
      const delta = graph.add('FusedMatMul', [down[i] as string, adapterInputB(module)], {
        domain: microsoft,
        attributes: { alpha: { f: scale } },
      });
      graph.add('Add', [base, delta], { outputs: [output] });
    }
  }
}

/** Adds `x A` for each layer that reads x and returns the names of the results. */
function downProducts(graph: Graph, input: string, sites: readonly LinearSite[]): string[] {
  const matrices = sites.map(({ module }) => adapterInputA(module));
  if (matrices.length === 1) return [graph.add('MatMul', [input, matrices[0] as string])];
  const joined = graph.add('Concat', matrices, { attributes: { axis: { i: 1 } } });
  const outputs = sites.map(({ module }) => graph.freshName(`${module}.down`));
  graph.add('Split', [graph.add('MatMul', [input, joined])], {
    attributes: { axis: { i: -1 }, num_outputs: { i: sites.length } },
    outputs,
  });
  return outputs;
}
