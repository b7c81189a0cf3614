/**
 * Finds attention that exporters spell out: a product of queries and keys, a softmax, and a product with the values. The
 * cache leads to it, because each layer returns `Concat(past, new)`.
 */

import type { Graph, Node } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';

/** Attention of one layer as the file spells it. */
export interface SpelledAttention {
  readonly layer: number;
  /** Names the attention in messages. */
  readonly softmax: Node;
  /** The product of queries and keys. */
  readonly scores: Node;
  /** The product of probabilities and values. */
  readonly mixing: Node;
  /** The query, [B, heads, S, headSize]. */
  readonly query: string;
  /** The query and values that it may be before its factors; folding sizes shows which of them are constant. */
  readonly queries: readonly string[];
  /** Keys and values of the step, [B, kvHeads, S, headSize]. */
  readonly newKey: string;
  readonly newValue: string;
  /** The nodes that append them to the cache. */
  readonly keyCache: Node;
  readonly valueCache: Node;
  /** Names of values behind the mixing, nearest first; one of them has the heads side by side. */
  readonly outputs: readonly string[];
}

/** Operators that move keys or values on their way from the cache to a product, or that scale them. */
const moving: ReadonlySet<string> = new Set(
  'Identity Cast Unsqueeze Expand Reshape Transpose Mul Div Tile Squeeze'.split(' '),
);

/** Operators that compute a factor from constants. */
const factorOperators: ReadonlySet<string> = new Set('Identity Cast Sqrt Reciprocal Mul Div Pow'.split(' '));

/** Returns the attention of each layer; empty if the graph has no softmax or no cache. */
export function findSpelledAttention(graph: Graph): SpelledAttention[] {
  if (!graph.nodes.some(({ op, domain }) => op === 'Softmax' && domain === '')) return [];
  const walk = new Walk(graph);
  const found: SpelledAttention[] = [];
  for (let layer = 0; graph.outputs.has(`present.${layer}.key`); layer++) {
    const keyCache = walk.cacheOf(`present.${layer}.key`);
    const valueCache = walk.cacheOf(`present.${layer}.value`);
    const scores = walk.productOf(keyCache);
    const mixing = walk.productOf(valueCache);
    const queries = walk.multiplied(scores.inputs[0] as string);
    found.push({
      layer,
      softmax: walk.softmaxBefore(mixing),
      scores,
      mixing,
      query: walk.unscaled(queries),
      queries,
      newKey: keyCache.inputs.at(-1) as string,
      newValue: valueCache.inputs.at(-1) as string,
      keyCache,
      valueCache,
      outputs: walk.behind(mixing),
    });
  }
  return found;
}

const again = 'export the model again, with plain attention (attn_implementation "eager" or "sdpa")';

class Walk {
  readonly #graph: Graph;
  readonly #producers: ReadonlyMap<string, Node>;
  readonly #consumers: ReadonlyMap<string, readonly Node[]>;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#producers = graph.producers();
    this.#consumers = graph.consumers();
  }

  /** Returns the Concat that appends to the cache of a layer. Whether it appends to `past` is seen when it is run. */
  cacheOf(present: string): Node {
    let node = this.#producers.get(present);
    while (node !== undefined && (node.op === 'Identity' || node.op === 'Cast')) {
      node = this.#producers.get(node.inputs[0] as string);
    }
    if (node?.op === 'Concat' && node.inputs.length >= 2) return node;
    const what = node ?? this.#graph.nodes.find(({ op }) => op === 'Softmax') ?? (this.#graph.nodes[0] as Node);
    throw refuseNode(what, `it computes ${present}, which is no Concat of a cache and what a step adds`, again);
  }

  /** Returns the product that reads the values of a cache. */
  productOf(cache: Node): Node {
    const values = new Set([cache.outputs[0] as string]);
    const products = new Set<Node>();
    for (const value of values) {
      for (const node of this.#consumers.get(value) ?? []) {
        if (node.op === 'MatMul' && node.inputs[1] === value) products.add(node);
        else if (moving.has(node.op) && node.inputs[0] === value) values.add(node.outputs[0] as string);
        else if (node.op !== 'Shape') {
          throw refuseNode(
            node,
            `it reads ${value}, keys or values of the cache, but is no product of attention`,
            again,
          );
        }
      }
    }
    const [product] = products;
    if (product !== undefined && products.size === 1) return product;
    throw refuseNode(cache, `${products.size} products read its keys or values, not one`, again);
  }

  softmaxBefore(mixing: Node): Node {
    let node = this.#producers.get(mixing.inputs[0] as string);
    while (node !== undefined && ['Where', 'Cast', 'Identity'].includes(node.op)) {
      // Exporters replace NaN by 0: Where(IsNaN(p), 0, p).
      node = this.#producers.get(node.inputs[node.op === 'Where' ? 2 : 0] as string);
    }
    if (node?.op === 'Softmax' && node.domain === '') return node;
    throw refuseNode(mixing, 'its probabilities do not come from a Softmax', again);
  }

  /** Returns a value, and the values from which products with further values compute it. */
  multiplied(value: string): string[] {
    const values = [value];
    for (;;) {
      const node = this.#producers.get(values.at(-1) as string);
      if (node === undefined || (node.op !== 'Mul' && node.op !== 'Div')) return values;
      values.push(node.inputs[0] as string);
    }
  }

  /** Returns the first of such values before which there are no more constant factors. */
  unscaled(values: readonly string[]): string {
    const isScaled = (value: string): boolean => this.#isScalar(this.#producers.get(value)?.inputs[1] ?? '');
    return values.find((value, i) => i === values.length - 1 || !isScaled(value)) as string;
  }

  /** Whether a value is one constant number, or is computed from such. */
  #isScalar(name: string): boolean {
    const tensor = this.#graph.initializers.get(name);
    if (tensor !== undefined) return tensor.dims.every((size) => size === 1);
    const node = this.#producers.get(name);
    const constant = node?.attributes.value;
    if (node?.op === 'Constant' && constant !== undefined && 't' in constant) {
      return constant.t.dims.every((size) => size === 1);
    }
    return node !== undefined && factorOperators.has(node.op) && node.inputs.every((input) => this.#isScalar(input));
  }

  /** The values that are the mixing's result, moved only. */
  behind(mixing: Node): string[] {
    const values = [mixing.outputs[0] as string];
    for (;;) {
      const readers = (this.#consumers.get(values.at(-1) as string) ?? []).filter(({ op }) => op !== 'Shape');
      const [reader] = readers;
      if (
        readers.length !== 1 ||
        reader === undefined ||
        !['Transpose', 'Reshape', 'Identity', 'Cast'].includes(reader.op)
      )
        return values;
      values.push(reader.outputs[0] as string);
    }
  }
}
