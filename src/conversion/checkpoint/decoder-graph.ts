/**
 * Builds a decoder's graph from its plan, in the form that Hone's variants start from (`src/package/normalize.ts`):
 * GroupQueryAttention with separate query, key and value, rotary positions as nodes, weights named after modules.
 *
 * Inputs: input_ids, position_ids [B, S]; attention_mask [B, P + S]; past_key_values.i.key/value [B, kv, P, hd].
 * Outputs: logits [B, S, V]; present.i.key/value [B, kv, P + S, hd].
 */

import { type Attributes, float32Tensor, type Graph, microsoft } from '../../onnx/index.js';
import { plainWeight } from '../weights/planned-weights.js';
import { addActivation } from './activations.js';
import type { AttentionPlan, DecoderPlan, FfnPlan, LayerPlan, Norm, PackedProjection, Rotary } from './decoder-plan.js';
import { rotaryRows } from './rotary-tables.js';
import type { WeightBook } from './weight-book.js';

/**
 * Adds the decoder to an empty graph.
 * @param contextLength rows of the tables by position
 */
export function buildDecoder(graph: Graph, book: WeightBook, plan: DecoderPlan, contextLength: number): void {
  new DecoderBuilder(graph, book, plan, contextLength).build();
}

class DecoderBuilder {
  readonly #graph: Graph;
  readonly #book: WeightBook;
  readonly #plan: DecoderPlan;
  readonly #contextLength: number;
  readonly #vectors = new Map<string, string>();
  readonly #tables = new Set<string>();
  #lastIndex = '';
  #totalLength = '';

  constructor(graph: Graph, book: WeightBook, plan: DecoderPlan, contextLength: number) {
    this.#graph = graph;
    this.#book = book;
    this.#plan = plan;
    this.#contextLength = contextLength;
  }

  build(): void {
    const graph = this.#graph;
    graph.name = 'decoder';
    graph.inputs.set('input_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });
    graph.inputs.set('attention_mask', { type: 'int64', dims: ['batch_size', 'total_sequence_length'] });
    graph.inputs.set('position_ids', { type: 'int64', dims: ['batch_size', 'sequence_length'] });
    const { vocabularySize } = this.#plan;
    graph.outputs.set('logits', { type: 'float32', dims: ['batch_size', 'sequence_length', vocabularySize] });
    this.#addLengths();
    let hidden = this.#embed();
    for (const [index, layer] of this.#plan.layers.entries()) hidden = this.#layer(hidden, layer, index);
    this.#head(this.#norm(hidden, this.#plan.lastNorm, this.#plan.hiddenSize));
    graph.prune();
  }

  /** GroupQueryAttention needs the index of each row's last valid key and the padded length, as int32. */
  #addLengths(): void {
    const graph = this.#graph;
    const sums = graph.add('ReduceSum', ['attention_mask', graph.int64([1])], { attributes: { keepdims: { i: 0 } } });
    const int32 = { attributes: { to: { i: 6 } } };
    this.#lastIndex = graph.add('Cast', [graph.add('Sub', [sums, graph.int64(1)])], int32);
    const total = graph.add('Gather', [graph.add('Shape', ['attention_mask']), graph.int64(1)]);
    this.#totalLength = graph.add('Cast', [total], int32);
  }

  #embed(): string {
    const { embedding, vocabularySize, hiddenSize } = this.#plan;
    const tokens = this.#scaled(this.#book.lookup(embedding.module, vocabularySize, hiddenSize), embedding.scale);
    if (embedding.positions === undefined) return tokens;
    const { module, offset } = embedding.positions;
    const table = this.#book.positions(module, offset, this.#contextLength, hiddenSize);
    return this.#graph.add('Add', [tokens, this.#graph.add('Gather', [table, 'position_ids'])]);
  }

  #layer(hidden: string, layer: LayerPlan, index: number): string {
    const width = this.#plan.hiddenSize;
    const before = this.#norm(hidden, layer.beforeAttention, width);
    const attended = this.#norm(this.#attention(before, layer.attention, index), layer.afterAttention, width);
    const first = this.#scaled(attended, layer.residualScale);
    if (layer.order === 'parallel') {
      const input = layer.beforeFfn === layer.beforeAttention ? before : this.#norm(hidden, layer.beforeFfn, width);
      const second = this.#scaled(this.#norm(this.#ffn(input, layer.ffn), layer.afterFfn, width), layer.residualScale);
      return this.#graph.add('Add', [this.#graph.add('Add', [hidden, first]), second]);
    }
    const middle = this.#graph.add('Add', [hidden, first]);
    const computed = this.#ffn(this.#norm(middle, layer.beforeFfn, width), layer.ffn);
    return this.#graph.add('Add', [
      middle,
      this.#scaled(this.#norm(computed, layer.afterFfn, width), layer.residualScale),
    ]);
  }

  #attention(input: string, attention: AttentionPlan, index: number): string {
    const graph = this.#graph;
    const { heads, kvHeads, headSize, hiddenSize } = this.#plan;
    let [query, key, value] = this.#projections(input, attention);
    const norms = attention.queryKeyNorm;
    if (norms !== undefined) {
      query = this.#headNorm(query, norms.query, norms.over, heads);
      key = this.#headNorm(key, norms.key, norms.over, kvHeads);
    }
    if (attention.rotary !== null) {
      query = this.#rotate(query, attention.rotary, heads);
      key = this.#rotate(key, attention.rotary, kvHeads);
    }
    const cache = (length: string) => ({ type: 'float32', dims: ['batch_size', kvHeads, length, headSize] }) as const;
    const [pastKey, pastValue] = [`past_key_values.${index}.key`, `past_key_values.${index}.value`];
    const [presentKey, presentValue] = [`present.${index}.key`, `present.${index}.value`];
    for (const name of [pastKey, pastValue]) graph.inputs.set(name, cache('past_sequence_length'));
    for (const name of [presentKey, presentValue]) graph.outputs.set(name, cache('total_sequence_length'));
    const output = graph.add(
      'GroupQueryAttention',
      [query, key, value, pastKey, pastValue, this.#lastIndex, this.#totalLength],
      {
        domain: microsoft,
        name: `/model/layers.${index}/attn/GroupQueryAttention`,
        attributes: {
          num_heads: { i: heads },
          kv_num_heads: { i: kvHeads },
          scale: { f: attention.scale },
          ...this.#windowOf(attention),
          ...(attention.softcap ? { softcap: { f: attention.softcap } } : {}),
        },
        outputs: [graph.freshName('attention'), presentKey, presentValue],
      },
    );
    return this.#book.product(output, attention.output, heads * headSize, hiddenSize);
  }

  /** A window that is as long as the context hides nothing. The operator counts the token itself too. */
  #windowOf({ window }: AttentionPlan): Attributes {
    return window === null || window >= this.#contextLength ? {} : { local_window_size: { i: window } };
  }

  #projections(input: string, { projections }: AttentionPlan): [string, string, string] {
    const { heads, kvHeads, headSize, hiddenSize } = this.#plan;
    if ('packed' in projections) return this.#split(input, projections);
    const { query, key, value } = projections;
    return [
      this.#book.product(input, query, hiddenSize, heads * headSize),
      this.#book.product(input, key, hiddenSize, kvHeads * headSize),
      this.#book.product(input, value, hiddenSize, kvHeads * headSize),
    ];
  }

  #split(input: string, { packed, order }: PackedProjection): [string, string, string] {
    const graph = this.#graph;
    const { heads, kvHeads, headSize, hiddenSize } = this.#plan;
    const group = heads / kvHeads;
    const product = this.#book.product(input, packed, hiddenSize, (heads + 2 * kvHeads) * headSize);
    const outputs = ['query', 'key', 'value'].map((part) => graph.freshName(part)) as [string, string, string];
    if (order === 'parts') {
      const sizes = graph.int64([heads, kvHeads, kvHeads].map((count) => count * headSize));
      graph.add('Split', [product, sizes], { attributes: { axis: { i: -1 } }, outputs });
      return outputs;
    }
    const grouped = graph.add('Reshape', [product, graph.int64([0, 0, kvHeads, (group + 2) * headSize])]);
    const sizes = graph.int64([group, 1, 1].map((count) => count * headSize));
    graph.add('Split', [grouped, sizes], { attributes: { axis: { i: -1 } }, outputs });
    return outputs.map((part) => this.#joinHeads(part)) as [string, string, string];
  }

  #joinHeads(value: string): string {
    return this.#graph.add('Reshape', [value, this.#graph.int64([0, 0, -1])]);
  }

  #headNorm(value: string, norm: Norm, over: 'head' | 'all', heads: number): string {
    const { headSize } = this.#plan;
    if (over === 'all') return this.#norm(value, norm, heads * headSize);
    const byHead = this.#graph.add('Reshape', [value, this.#graph.int64([0, 0, heads, headSize])]);
    return this.#joinHeads(this.#norm(byHead, norm, headSize));
  }

  #rotate(value: string, { name, tables, interleaved }: Rotary, heads: number): string {
    const pairs = tables.inverseFrequencies.length;
    const parts = (['cos', 'sin'] as const).map((part) => {
      const table = `${name}.${part}`;
      if (this.#tables.has(table)) return table;
      this.#tables.add(table);
      const rows = this.#contextLength;
      const read = async (first: number, count: number) => rotaryRows(tables, part, first, count);
      return this.#book.add(plainWeight(table, [rows, pairs], { name: table, rows, width: pairs, read }));
    });
    const partial = pairs * 2 < this.#plan.headSize;
    return this.#graph.add('RotaryEmbedding', [value, 'position_ids', ...parts], {
      domain: microsoft,
      attributes: {
        ...(interleaved ? { interleaved: { i: 1 } } : {}),
        ...(partial ? { num_heads: { i: heads }, rotary_embedding_dim: { i: 2 * pairs } } : {}),
      },
    });
  }

  #ffn(input: string, { up, down, activation }: FfnPlan): string {
    const graph = this.#graph;
    const { hiddenSize, ffnSize } = this.#plan;
    return this.#book.product(this.#inner(input, up, activation, graph), down, ffnSize, hiddenSize);
  }

  #inner(input: string, up: FfnPlan['up'], activation: FfnPlan['activation'], graph: Graph): string {
    const { hiddenSize, ffnSize } = this.#plan;
    if ('gateUp' in up) {
      const both = this.#book.product(input, up.gateUp, hiddenSize, 2 * ffnSize);
      const outputs = ['gate', 'up'].map((part) => graph.freshName(part)) as [string, string];
      graph.add('Split', [both, graph.int64([ffnSize, ffnSize])], { attributes: { axis: { i: -1 } }, outputs });
      return graph.add('Mul', [addActivation(graph, activation, outputs[0]), outputs[1]]);
    }
    if (up.gate === undefined) {
      return addActivation(graph, activation, this.#book.product(input, up.up, hiddenSize, ffnSize));
    }
    const gate = addActivation(graph, activation, this.#book.product(input, up.gate, hiddenSize, ffnSize));
    return graph.add('Mul', [gate, this.#book.product(input, up.up, hiddenSize, ffnSize)]);
  }

  #head(hidden: string): void {
    const graph = this.#graph;
    const { head, embedding, vocabularySize, hiddenSize } = this.#plan;
    let logits = this.#book.head(hidden, head.module, embedding.module, vocabularySize, hiddenSize);
    if (head.bias) logits = graph.add('Add', [logits, this.#book.vector(`${head.module}.bias`, [vocabularySize])]);
    logits = this.#scaled(logits, head.scale);
    if (head.softcap) {
      const bound = graph.float(head.softcap);
      logits = graph.add('Mul', [graph.add('Tanh', [graph.add('Div', [logits, bound])]), bound]);
    }
    // The last node of the head computes the output itself.
    const last = graph.nodes.at(-1) as (typeof graph.nodes)[number];
    graph.replaceNode(last, [{ ...last, outputs: ['logits'] }]);
  }

  #scaled(value: string, factor = 1): string {
    return factor === 1 ? value : this.#graph.add('Mul', [value, this.#graph.float(factor)]);
  }

  #norm(input: string, norm: Norm | null, width: number): string {
    if (norm === null) return input;
    const weight =
      norm.module === null ? this.#ones(width) : this.#vector(`${norm.module}.weight`, width, norm.plusOne === true);
    const attributes = { axis: { i: -1 }, epsilon: { f: norm.epsilon }, stash_type: { i: 1 } };
    if (norm.kind === 'rms') return this.#graph.add('SimplifiedLayerNormalization', [input, weight], { attributes });
    const bias = norm.bias === true ? [this.#vector(`${norm.module}.bias`, width, false)] : [];
    return this.#graph.add('LayerNormalization', [input, weight, ...bias], { attributes });
  }

  #vector(name: string, width: number, plusOne: boolean): string {
    const known = this.#vectors.get(name);
    if (known !== undefined) return known;
    const added = this.#book.vector(name, [width], plusOne);
    this.#vectors.set(name, added);
    return added;
  }

  #ones(width: number): string {
    const name = `ones.${width}`;
    this.#graph.initializers.set(name, float32Tensor(new Float32Array(width).fill(1), [width]));
    return name;
  }
}
