/** Rewrites the tiny decoder into the forms that other exporters write. */

import { float32Tensor, float32Values, type Graph, microsoft, type Node, type Tensor } from '../../src/onnx/index.js';
import { spellGemm, spellOut, spellRotation, useOperator } from './spelled-attention.js';

interface ExportForm {
  readonly name: string;
  readonly apply: (graph: Graph) => void;
  /** Whether the linear layers are those of the tiny package. Default true. */
  readonly sameLinears?: boolean;
}

const attentions = (graph: Graph): Node[] => graph.nodes.filter(({ op }) => op === 'GroupQueryAttention');

/** Moves the rotation into the attention operator, as ONNX Runtime's exporter does, which writes no `position_ids`. */
const rotateInside = (interleaved: boolean, positions: 'none' | 'input') => (graph: Graph) => {
  const producers = graph.producers();
  for (const node of attentions(graph)) {
    const [query, key] = node.inputs.slice(0, 2).map((name) => producers.get(name) as Node) as [Node, Node];
    const unrotated = [query, key].map(({ inputs }) => inputs[0] as string);
    graph.removeNodes(new Set([query, key]));
    const tables = ['rotary.cos', 'rotary.sin', ...(positions === 'input' ? ['position_ids'] : [])];
    graph.replaceNode(node, [
      {
        ...node,
        inputs: [...unrotated, ...node.inputs.slice(2), ...tables],
        attributes: { ...node.attributes, do_rotary: { i: 1 }, rotary_interleaved: { i: interleaved ? 1 : 0 } },
      },
    ]);
  }
  if (positions === 'none') graph.inputs.delete('position_ids');
};

const values = (graph: Graph, name: string): [Float32Array, number, number] => {
  const tensor = graph.initializers.get(name) as Tensor;
  return [float32Values(tensor), tensor.dims[0] as number, tensor.dims[1] as number];
};

/** Makes query, key and value one product, which the attention operator splits. */
function packProjections(graph: Graph): void {
  for (const [layer, node] of attentions(graph).entries()) {
    const producers = graph.producers();
    const parts = node.inputs.slice(0, 3).map((name) => producers.get(name) as Node);
    const weights = parts.map(({ inputs }) => values(graph, inputs[1] as string));
    const rows = weights[0]?.[1] as number;
    const width = weights.reduce((sum, [, , columns]) => sum + columns, 0);
    const packed = new Float32Array(rows * width);
    let from = 0;
    for (const [data, , columns] of weights) {
      for (let row = 0; row < rows; row++)
        packed.set(data.subarray(row * columns, (row + 1) * columns), row * width + from);
      from += columns;
    }
    const weight = `model.layers.${layer}.attn.qkv_proj.MatMul.weight`;
    graph.initializers.set(weight, float32Tensor(packed, [rows, width]));
    const product = graph.add('MatMul', [parts[0]?.inputs[0] as string, weight], {
      name: `/model/layers.${layer}/attn/qkv_proj/MatMul`,
    });
    graph.replaceNode(node, [{ ...node, inputs: [product, '', '', ...node.inputs.slice(3)] }]);
    graph.removeNodes(new Set(parts));
  }
}

/** Numbers the weights. The nodes keep names from which the modules can be derived. */
const anonymous = (style: (module: string) => string) => (graph: Graph) => {
  let number = 100;
  for (const node of [...graph.nodes]) {
    const weight = node.inputs[1] ?? '';
    if (node.op !== 'MatMul' || !weight.includes('.layers.')) continue;
    const name = `onnx::MatMul_${number++}`;
    graph.initializers.set(name, graph.initializers.get(weight) as Tensor);
    graph.initializers.delete(weight);
    const module = weight.slice(0, -'.weight'.length);
    graph.replaceNode(node, [{ ...node, name: style(module), inputs: [node.inputs[0] as string, name] }]);
  }
};

/** Returns a node's name as Optimum writes it: `/model/layers.0/self_attn/q_proj/MatMul`. */
const optimumName = (module: string): string => `/${module.replace(/\.(?!\d)/g, '/')}/MatMul`;

/** Fuses each sum with the norm that reads it. Later nodes read the sum too. */
function fuseNorms(graph: Graph): void {
  for (const norm of graph.nodes.filter(({ op }) => op === 'SimplifiedLayerNormalization')) {
    const sum = graph.producers().get(norm.inputs[0] as string);
    if (sum?.op !== 'Add') continue;
    graph.replaceNode(norm, [
      {
        ...norm,
        op: 'SkipSimplifiedLayerNormalization',
        domain: microsoft,
        inputs: [...sum.inputs, norm.inputs[1] as string],
        outputs: [norm.outputs[0] as string, '', '', sum.outputs[0] as string],
        attributes: { epsilon: norm.attributes.epsilon as { f: number } },
      },
    ]);
    graph.removeNodes(new Set([sum]));
  }
}

/** Gives the head a weight of its own, [D, V]. */
function untie(graph: Graph): void {
  const head = graph.nodes.find(({ outputs }) => outputs[0] === 'logits') as Node;
  const [data, rows, columns] = values(graph, 'model.embed_tokens.weight');
  const transposed = Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number);
  graph.initializers.set('onnx::MatMul_999', float32Tensor(transposed, [columns, rows]));
  graph.replaceNode(head, [{ ...head, inputs: [head.inputs[0] as string, 'onnx::MatMul_999'] }]);
}

/** Adds biases to query, key and value, as in Qwen2. */
function addBiases(graph: Graph): void {
  for (const node of graph.nodes.filter(({ inputs }) => /self_attn\.[qkv]_proj\.weight$/.test(inputs[1] ?? ''))) {
    const weight = node.inputs[1] as string;
    const width = graph.initializers.get(weight)?.dims[1] as number;
    const bias = weight.replace(/weight$/, 'bias');
    graph.initializers.set(
      bias,
      float32Tensor(
        Float32Array.from({ length: width }, (_, i) => 0.1 * Math.sin(i)),
        [width],
      ),
    );
    const product = graph.freshName('product');
    graph.replaceNode(node, [{ ...node, outputs: [product] }]);
    graph.add('Add', [bias, product], { outputs: node.outputs });
  }
}

/** Fuses sums with norms that have the operator's default epsilon, 1e-12, while the other norms have 1e-5. */
function fuseNormsWithoutEpsilon(graph: Graph): void {
  // The values become so small that the epsilon matters.
  const name = 'model.embed_tokens.weight';
  const [data, rows, columns] = values(graph, name);
  graph.initializers.set(
    name,
    float32Tensor(
      data.map((value) => value / 1000),
      [rows, columns],
    ),
  );
  for (const layer of [0, 1]) {
    const o = `model.layers.${layer}.self_attn.o_proj.weight`;
    const [weights, inner, outer] = values(graph, o);
    graph.initializers.set(
      o,
      float32Tensor(
        weights.map((value) => value / 1000),
        [inner, outer],
      ),
    );
  }
  fuseNorms(graph);
  graph.nodes = graph.nodes.map((node) =>
    node.op === 'SkipSimplifiedLayerNormalization' ? { ...node, attributes: {} } : node,
  );
}

/** Gives values of the graph the names that Hone gives to values of its own. */
function takeNames(graph: Graph): void {
  const taken = ['hidden_states', 'past_lens', 'segment_ids', 'target_ids', 'last_index', 'row_logprobs', 'beta'];
  const inside = graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => !graph.outputs.has(name));
  for (const [i, name] of taken.entries()) {
    const value = inside.at(-1 - 3 * i) as string;
    const node = graph.producers().get(value) as Node;
    graph.replaceNode(node, [{ ...node, outputs: node.outputs.map((output) => (output === value ? name : output)) }]);
    graph.replaceUses(value, name);
  }
  const gamma = graph.initializers.get('model.norm.weight') as Tensor;
  graph.initializers.delete('model.norm.weight');
  graph.initializers.set('model.layers.0.mlp.up_proj.lora_A', gamma);
  graph.replaceUses('model.norm.weight', 'model.layers.0.mlp.up_proj.lora_A');
}

/** Adds learned positions to the embedding and removes the rotations. */
function learnPositions(graph: Graph): void {
  const table = Float32Array.from({ length: 128 * 32 }, (_, i) => 0.2 * Math.sin(i));
  graph.initializers.set('model.positions.weight', float32Tensor(table, [128, 32]));
  const embedding = graph.nodes.find(({ op, inputs }) => op === 'Gather' && inputs[1] === 'input_ids') as Node;
  const [output] = embedding.outputs as [string];
  const embedded = graph.freshName('embedded');
  graph.replaceNode(embedding, [{ ...embedding, outputs: [embedded] }]);
  const placed = graph.add('Gather', ['model.positions.weight', 'position_ids']);
  graph.add('Add', [embedded, placed], { outputs: [output] });
  for (const node of graph.nodes.filter(({ op }) => op === 'RotaryEmbedding')) {
    graph.removeNodes(new Set([node]));
    graph.replaceUses(node.outputs[0] as string, node.inputs[0] as string);
  }
}

/** Rotates only a half of each head, inside the attention. onnxruntime does so for heads of 32 and more. */
export function turnHalvesInside(graph: Graph): void {
  turnHalves(graph);
  rotateInside(false, 'none')(graph);
}

/** Rotates only a half of each head. */
export function turnHalves(graph: Graph): void {
  for (const table of ['rotary.cos', 'rotary.sin']) {
    const [data, rows, columns] = values(graph, table);
    const half = columns / 2;
    const kept = Float32Array.from(
      { length: rows * half },
      (_, i) => data[Math.floor(i / half) * columns + (i % half)] as number,
    );
    graph.initializers.set(table, float32Tensor(kept, [rows, half]));
  }
  graph.nodes = graph.nodes.map((node) => {
    if (node.op !== 'RotaryEmbedding') return node;
    const heads = /q_proj/.test(graph.producers().get(node.inputs[0] as string)?.name ?? '') ? 4 : 2;
    return { ...node, attributes: { num_heads: { i: heads }, rotary_embedding_dim: { i: 8 } } };
  });
}

/** Multiplies by a factor with all three axes, which is broadcast over rows and tokens. */
function scaleWithAllAxes(graph: Graph): void {
  for (const node of graph.nodes.filter(({ inputs }) => inputs[1]?.endsWith('up_proj.weight'))) {
    const [output] = node.outputs as [string];
    const product = graph.freshName('product');
    graph.replaceNode(node, [{ ...node, outputs: [product] }]);
    const factor = graph.freshName('factor');
    graph.initializers.set(
      factor,
      float32Tensor(
        Float32Array.from({ length: 48 }, (_, i) => 1 + 0.01 * i),
        [1, 1, 48],
      ),
    );
    graph.add('Mul', [factor, product], { outputs: [output] });
  }
}

/** Repeats each feature and takes the mean of what is the same. */
function repeatWithinTokens(graph: Graph): void {
  const sizes = [0, 1].map((axis) =>
    graph.add('Shape', ['input_ids'], { attributes: { start: { i: axis }, end: { i: axis + 1 } } }),
  );
  const shape = graph.add('Concat', [...sizes, graph.int64([48]), graph.int64([3])], {
    attributes: { axis: { i: 0 } },
  });
  for (const node of graph.nodes.filter(({ inputs }) => inputs[1]?.endsWith('up_proj.weight'))) {
    const [output] = node.outputs as [string];
    const product = graph.freshName('product');
    graph.replaceNode(node, [{ ...node, outputs: [product] }]);
    const expanded = graph.add('Expand', [graph.add('Unsqueeze', [product, graph.int64([-1])]), shape]);
    const repeated = graph.add('Tile', [expanded, graph.int64([1, 1, 1, 2])]);
    graph.add('ReduceMean', [repeated, graph.int64([-1])], { attributes: { keepdims: { i: 0 } }, outputs: [output] });
  }
}

/** Sets attributes of the attention of some layers. */
const attend = (attributes: Node['attributes'], layers: readonly number[]) => (graph: Graph) => {
  for (const [layer, node] of attentions(graph).entries()) {
    if (layers.includes(layer))
      graph.replaceNode(node, [{ ...node, attributes: { ...node.attributes, ...attributes } }]);
  }
};

/** Leaves the head size open in the shapes of the cache, as ONNX Runtime GenAI's builder does. */
function openHeadSize(graph: Graph): void {
  for (const values of [graph.inputs, graph.outputs]) {
    for (const [name, info] of values) {
      if (info !== null && /^(past_key_values|present)\./.test(name)) {
        values.set(name, { ...info, dims: info.dims.with(3, 'kv_cache_dim') });
      }
    }
  }
}

/**
 * Normalizes each head of query and key, in operators before the attention.
 * @param insides whether the attention operator does so, in a form that onnxruntime for the CPU does not run
 */
export const normHeads = (insides: boolean) => (graph: Graph) => {
  rotateInside(false, 'none')(graph);
  for (const node of attentions(graph)) {
    const weights = [1, 2].map((seed) => {
      const weight = graph.freshName('head.norm');
      const data = Float32Array.from({ length: 16 }, (_, i) => 1 + 0.3 * Math.sin(seed * i));
      graph.initializers.set(weight, float32Tensor(data, [16]));
      return weight;
    });
    if (insides) {
      const inputs = [...node.inputs, ...new Array<string>(14 - node.inputs.length).fill(''), ...weights];
      graph.replaceNode(node, [{ ...node, inputs, attributes: { ...node.attributes, qk_norm_epsilon: { f: 0.01 } } }]);
      continue;
    }
    const normed = weights.map((weight, i) => {
      const heads = graph.add('Reshape', [node.inputs[i] as string, graph.int64([0, 0, -1, 16])]);
      const attributes = { axis: { i: -1 }, epsilon: { f: 0.01 } };
      const norm = graph.add('SimplifiedLayerNormalization', [heads, weight], { attributes });
      return graph.add('Reshape', [norm, graph.int64([0, 0, (i === 0 ? 4 : 2) * 16])]);
    });
    graph.replaceNode(node, [{ ...node, inputs: [...normed, ...node.inputs.slice(2)] }]);
  }
};

/** Sets a window, which the cache may be as short as: onnxruntime for the CPU does not run that. */
export const slideCache = (slides: boolean) =>
  attend({ local_window_size: { i: 4 }, ...(slides ? { sliding_window_cache: { i: 1 } } : {}) }, [0, 1]);

/** Treats the logits behind the head's product: divided, bounded, multiplied and shifted. */
function finishLogits(graph: Graph): void {
  const head = graph.nodes.find(({ outputs }) => outputs[0] === 'logits') as Node;
  const product = graph.freshName('product');
  graph.replaceNode(head, [{ ...head, outputs: [product] }]);
  const bounded = graph.add('Tanh', [graph.add('Div', [product, graph.float(1.5)])]);
  const width = 260;
  const shifts = Float32Array.from({ length: width }, (_, i) => 0.3 * Math.sin(i));
  graph.initializers.set('lm_head.bias', float32Tensor(shifts, [width]));
  graph.add('Add', [graph.add('Mul', [graph.float(1.5), bounded]), 'lm_head.bias'], { outputs: ['logits'] });
}

export const exportForms: readonly ExportForm[] = [
  { name: 'as the recipe writes it', apply: () => undefined },
  { name: 'with rotation in the attention and no position_ids', apply: rotateInside(false, 'none') },
  { name: 'with interleaved rotation in the attention', apply: rotateInside(true, 'none') },
  { name: 'with rotation in the attention at given positions', apply: rotateInside(false, 'input') },
  {
    name: 'with packed query, key and value, rotated in the attention',
    apply: (graph) => {
      rotateInside(false, 'none')(graph);
      packProjections(graph);
    },
    sameLinears: false,
  },
  { name: 'with numbered weights, in the style of Optimum', apply: anonymous(optimumName) },
  {
    name: "with numbered weights, in the style of ONNX Runtime's exporter",
    apply: anonymous((module) => optimumName(module).replace('self_attn', 'attn')),
  },
  { name: 'with sums fused into norms', apply: fuseNorms },
  { name: 'with sums fused into norms without an epsilon', apply: fuseNormsWithoutEpsilon },
  { name: 'with values that have names reserved by Hone', apply: takeNames },
  { name: 'with learned positions', apply: learnPositions },
  { name: 'with rotations of a part of each head', apply: turnHalves },
  { name: 'with a factor of three axes', apply: scaleWithAllAxes },
  { name: 'with features that are repeated within each token', apply: repeatWithinTokens },
  { name: 'with a head that is not tied to the embedding', apply: untie },
  { name: 'with biases on query, key and value', apply: addBiases },
  {
    name: 'with norms of ai.onnx 23',
    apply: (graph) => {
      graph.opsets.set('', 23);
      for (const node of graph.nodes.filter(({ op }) => op === 'SimplifiedLayerNormalization')) {
        graph.replaceNode(node, [{ ...node, op: 'RMSNormalization' }]);
      }
    },
  },
  { name: 'with a window in one layer', apply: attend({ local_window_size: { i: 4 } }, [0]) },
  {
    name: 'with windows of two sizes',
    apply: (graph) => {
      attend({ local_window_size: { i: 1 } }, [0])(graph);
      attend({ local_window_size: { i: 9 } }, [1])(graph);
    },
  },
  { name: 'with a head size that is left open', apply: openHeadSize },
  {
    name: 'with packed query, key and value and a head size that is left open',
    apply: (graph) => {
      rotateInside(false, 'none')(graph);
      packProjections(graph);
      openHeadSize(graph);
    },
    sameLinears: false,
  },
  { name: 'with norms of each head of query and key', apply: normHeads(false) },
  { name: 'with soft-capped scores', apply: attend({ softcap: { f: 0.3 } }, [0, 1]) },
  { name: 'with logits that are bounded and shifted behind the head', apply: finishLogits },
  {
    name: 'with numbered weights, rotation in the attention, fused norms and an untied head',
    apply: (graph) => {
      anonymous((module) => optimumName(module).replace('self_attn', 'attn'))(graph);
      rotateInside(false, 'none')(graph);
      fuseNorms(graph);
      untie(graph);
    },
  },
  {
    name: 'with attention spelled out, and a mask that is added',
    apply: spellOut({ mask: 'added', factor: 'roots' }),
  },
  {
    name: 'with attention spelled out, and a mask that chooses',
    apply: spellOut({ mask: 'chosen', factor: 'scores' }),
  },
  {
    name: 'with attention spelled out, a window and bounded scores',
    apply: spellOut({ mask: 'added', factor: 'scores', window: 4, softcap: 0.3 }),
  },
  {
    name: 'with attention and rotations spelled out',
    apply: (graph) => {
      spellRotation('given')(graph);
      spellOut({ mask: 'chosen', factor: 'roots' })(graph);
    },
  },
  {
    name: 'with attention and rotations spelled out, at positions that are counted',
    apply: (graph) => {
      spellRotation('counted')(graph);
      spellOut({ mask: 'added', factor: 'scores' })(graph);
    },
  },
  {
    name: 'with attention spelled out, and linear layers with biases as Gemm',
    apply: (graph) => {
      spellGemm(graph);
      spellOut({ mask: 'added', factor: 'roots' })(graph);
    },
  },
  { name: "with ai.onnx's Attention, which appends to the cache", apply: useOperator('appends') },
  {
    name: "with ai.onnx's Attention of a cache that is given, with bounded scores",
    apply: useOperator('is given', 0.3),
  },
];
