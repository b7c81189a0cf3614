/**
 * Follows the tokens through a decoder's graph, from the ids and positions to the logits, without running it.
 *
 * The decode and the training variant replace attention, mask and cache and keep all other nodes of the file. The
 * result is the same only if every other operator treats each token by itself, and if nothing else reads mask or cache.
 * A graph for which this cannot be shown is refused.
 */

import { type Graph, type Node, numberAttribute } from '../onnx/index.js';
import type { AttentionSite } from './lowering.js';
import { constantDims, constantIntsOf, sizesOf } from './operators/constants.js';
import { type Dim, dimOf, inBrackets, sameDims, sizeOf } from './operators/dims.js';
import { FlowSite } from './operators/flow-site.js';
import { refuseNode } from './operators/form.js';
import { operatorOf, randomOperators } from './operators/table.js';
import type { Value } from './operators/value.js';

/** What following the tokens found. */
export interface TokenFlow {
  /**
   * Nodes that multiply tokens by a weight, in the order of the graph. The head, which computes `logits`, is among
   * them.
   */
  readonly products: readonly Node[];
  /** Nodes that read a table at a token's position, with the table's number of rows. */
  readonly positionTables: readonly { readonly node: Node; readonly rows: number }[];
  /** Columns of the logits. */
  readonly vocabularySize: number;
}

/** Operators that can be in {@link TokenFlow.products}. Others multiply by a constant too, but not by a matrix. */
const weighted: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'FusedMatMul', 'MatMulNBits']);

/**
 * @param sites the graph's attention operators
 * @throws HoneError `OPERATOR_UNSUPPORTED` that names the first operator that Hone does not understand
 */
export function followTokens(graph: Graph, sites: readonly AttentionSite[]): TokenFlow {
  const reached = graph.clone();
  reached.outputs.clear();
  reached.outputs.set('logits', null);
  reached.prune();
  const producers = graph.producers();
  const bySite = new Map(sites.map((site) => [site.node, site]));
  const ints = (name: string): number[] | undefined => constantIntsOf(graph, producers, name);
  const values = new Map<string, Value>();
  for (const [name, { dims }] of graph.initializers) values.set(name, { kind: 'constant', dims });
  for (const name of graph.inputs.keys()) values.set(name, inputValue(name));

  const flow = { products: [] as Node[], positionTables: [] as { node: Node; rows: number }[] };
  for (const node of reached.nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? undefined : values.get(name)));
    const site = bySite.get(node);
    const headSize = sites[0]?.headSize ?? 0;
    const outputs = site ? attend(site, inputs) : outputsOf(new FlowSite(node, inputs, headSize, ints), inputs, ints);
    for (const [i, name] of node.outputs.entries()) {
      // The operator's flow leaves out outputs that nothing may read. Tokens that meet a derived value are refused.
      if (name !== '') values.set(name, outputs[i] ?? { kind: 'derived' });
    }
    note(flow, node, inputs);
  }
  return { ...flow, vocabularySize: logitsWidth(producers.get('logits'), values.get('logits')) };
}

function inputValue(name: string): Value {
  if (name === 'input_ids') return { kind: 'tokens', dims: [['B'], ['S']], dependsOnIds: true };
  if (name === 'position_ids') return { kind: 'tokens', dims: [['B'], ['S']], dependsOnIds: false };
  return { kind: name === 'attention_mask' ? 'derived' : 'cache' };
}

/** Checks an attention operator, in which tokens may meet: its shapes, and that its cache is the one of its layer. */
function attend(
  { node, layer, heads, kvHeads, headSize }: AttentionSite,
  inputs: readonly (Value | undefined)[],
): Value[] {
  for (const [i, count] of [heads, kvHeads, kvHeads].entries()) {
    const value = inputs[i];
    const dims: readonly Dim[] = [['B'], ['S'], dimOf(count * headSize)];
    if (value?.kind === 'tokens' && sameDims(value.dims, dims)) continue;
    const what = value?.kind === 'tokens' ? inBrackets(value.dims) : 'a value that does not depend on the tokens';
    throw refuseNode(node, `input ${i} is ${what}, not ${inBrackets(dims)}`, 'export the model again');
  }
  const expected = {
    inputs: ['', '', '', `past_key_values.${layer}.key`, `past_key_values.${layer}.value`],
    outputs: ['', `present.${layer}.key`, `present.${layer}.value`],
  };
  for (const side of ['inputs', 'outputs'] as const) {
    for (const [i, name] of expected[side].entries()) {
      if (name === '' || node[side][i] === name) continue;
      throw refuseNode(
        node,
        `its ${side.slice(0, -1)} ${i} is ${node[side][i]}, but its keys belong to the layer of ${name}`,
        'export the model with a cache for each layer',
      );
    }
  }
  return [
    { kind: 'tokens', dims: [['B'], ['S'], dimOf(heads * headSize)], dependsOnIds: true },
    { kind: 'cache' },
    { kind: 'cache' },
  ];
}

function outputsOf(
  site: FlowSite,
  inputs: readonly (Value | undefined)[],
  ints: (name: string) => number[] | undefined,
): readonly Value[] {
  const { node } = site;
  const kinds = new Set(inputs.flatMap((value) => value?.kind ?? []));
  const all = (value: Value): Value[] => node.outputs.map(() => value);
  if (kinds.has('cache')) {
    if (node.op === 'Shape' && node.domain === '') return all({ kind: 'derived' });
    throw refuseNode(
      node,
      'it reads keys or values of the cache, which only attention may',
      'export the model without it',
    );
  }
  if (!kinds.has('tokens')) {
    if (kinds.has('derived')) return all({ kind: 'derived' });
    if (kinds.has('sizes')) return [sizesOf(node, inputs, ints) ?? { kind: 'derived' }];
    if (!randomOperators.has(node.op)) return all({ kind: 'constant', dims: constantDims(node, inputs, ints) });
    throw refuseNode(node, 'its result is random', 'export the model for inference');
  }
  if (kinds.has('derived')) {
    const source = node.inputs.find((_, i) => inputs[i]?.kind === 'derived');
    throw refuseNode(
      node,
      `it reads ${source}, which comes from the attention mask or the cache`,
      'export the model with position_ids, and with masks inside GroupQueryAttention',
    );
  }
  const flow = operatorOf(node)?.flow;
  if (flow !== undefined) return flow(site);
  throw refuseNode(
    node,
    'Hone does not know this operator, which the logits need',
    'export the model without it, or serve another model',
  );
}

function note(
  flow: { readonly products: Node[]; readonly positionTables: { node: Node; rows: number }[] },
  node: Node,
  inputs: readonly (Value | undefined)[],
): void {
  const [left, right] = inputs;
  if (weighted.has(node.op) && left?.kind === 'tokens' && left.dependsOnIds) flow.products.push(node);
  const isByPosition = (value: Value | undefined): boolean => value?.kind === 'tokens' && !value.dependsOnIds;
  const table = (value: Value | undefined): void => {
    if (value?.kind === 'constant' && value.dims?.length === 2) {
      flow.positionTables.push({ node, rows: value.dims[0] as number });
    }
  };
  if (node.op === 'Gather' && isByPosition(right) && numberAttribute(node, 'axis', 0) === 0) table(left);
  if (node.op === 'RotaryEmbedding') for (const value of inputs) table(value);
}

function logitsWidth(head: Node | undefined, logits: Value | undefined): number {
  const width = logits?.kind === 'tokens' ? sizeOf(logits.dims[2]) : undefined;
  const isByToken = logits?.kind === 'tokens' && sameDims(logits.dims.slice(0, 2), [['B'], ['S']]);
  if (head !== undefined && isByToken && logits.dims.length === 3 && width !== undefined) return width;
  const what = logits?.kind === 'tokens' ? inBrackets(logits.dims) : 'a value that does not depend on the tokens';
  throw refuseNode(
    head ?? { name: '', op: 'nothing', domain: '', inputs: [], outputs: [], attributes: {} },
    `the logits are ${what}, not [B, S, vocabulary]`,
    'export the model as text-generation-with-past',
  );
}
