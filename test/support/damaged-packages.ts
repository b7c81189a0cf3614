/** Every way in which a package can be wrong that a test knows of: how to damage a good one, and what must be said. */

import { mkdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { float32Tensor, type Graph, microsoft, type Tensor } from '../../src/onnx/index.js';
import {
  data,
  edit,
  editGraph,
  editRaw,
  external,
  type Json,
  model,
  remove,
  set,
  setTensor,
  tokens,
  write,
} from './package-edits.js';

/** One row of the table. */
export interface Damage {
  readonly name: string;
  /** Damages a copy of the tiny package. */
  readonly apply: (directory: string) => Promise<unknown>;
  /** What the message must hold: the file, the reason, the remedy. */
  readonly says: readonly string[];
  /** Default `PACKAGE_INVALID`. */
  readonly code?: string;
}

const files: Damage[] = [
  { name: 'no config.json', apply: remove('config.json'), says: ['config.json', 'cannot be read'] },
  { name: 'no tokenizer.json', apply: remove('tokenizer.json'), says: ['tokenizer.json', 'cannot be read'] },
  { name: 'no tokenizer_config.json', apply: remove('tokenizer_config.json'), says: ['tokenizer_config.json'] },
  { name: 'no model', apply: remove(model), says: [model, 'cannot be read', 'export or copy it'] },
  {
    name: 'a folder in the place of the model',
    apply: async (directory) => {
      await rm(join(directory, model));
      await mkdir(join(directory, model));
    },
    says: [model, 'cannot be read'],
  },
  { name: 'a config.json that is not JSON', apply: write('config.json', '{'), says: ['config.json', 'not JSON'] },
  { name: 'a config.json that holds a list', apply: write('config.json', '[]'), says: ['config.json', 'expected'] },
  {
    name: 'a generation_config.json that is not JSON',
    apply: write('generation_config.json', ''),
    says: ['generation_config.json', 'not JSON'],
  },
  {
    name: 'a tokenizer.json that is cut off',
    apply: (directory) => truncate(join(directory, 'tokenizer.json'), 1000),
    says: ['tokenizer.json', 'not JSON', 'download'],
  },
  {
    name: 'a pointer in the place of tokenizer.json',
    apply: write('tokenizer.json', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
    says: ['tokenizer.json', 'git lfs pull'],
  },
  {
    name: 'a tokenizer_config.json that is not JSON',
    apply: write('tokenizer_config.json', 'nothing'),
    says: ['tokenizer_config.json', 'not JSON'],
  },
];

const models: Damage[] = [
  { name: 'an empty model', apply: write(model, ''), says: [model, 'no graph', 'download or export'] },
  { name: 'a model that is text', apply: write(model, 'not a model'), says: [model, 'not an ONNX file'] },
  {
    name: 'a model that is cut off',
    apply: (directory) => truncate(join(directory, model), 60_000),
    says: [model, 'not an ONNX file', 'download or export'],
  },
  {
    name: 'a pointer in the place of the model',
    apply: write(model, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
    says: [model, 'git lfs pull'],
  },
  {
    name: 'a model without a weight',
    apply: editGraph((graph) => graph.initializers.delete('model.norm.weight')),
    says: [model, 'model.norm.weight', 'nothing in the graph gives'],
  },
  {
    name: 'a cyclic graph',
    apply: editGraph((graph) => {
      const [first, last] = [graph.nodes[1], graph.nodes.at(-2)];
      if (first === undefined || last === undefined) return;
      graph.replaceNode(first, [
        { ...first, inputs: [graph.nodes.at(-3)?.outputs[0] ?? '', ...first.inputs.slice(1)] },
      ]);
    }),
    says: [model, 'cycle'],
  },
  {
    name: 'an operator that nobody knows',
    apply: editGraph((graph) => {
      const head = graph.nodes.at(-1);
      if (head === undefined) return;
      graph.opsets.set('com.acme', 1);
      const hidden = graph.add('Frobnicate', [head.inputs[0] as string], { domain: 'com.acme' });
      graph.replaceNode(head, [{ ...head, inputs: [hidden, head.inputs[1] as string] }]);
      graph.prune();
    }),
    says: [model, 'com.acme.Frobnicate', 'export the model'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'operators newer than onnxruntime',
    apply: editGraph((graph) => graph.opsets.set('', 999)),
    says: [model, 'onnxruntime refuses'],
  },
  {
    name: 'a subgraph',
    apply: editRaw(({ graph }) => graph.node[0]?.attribute.push({ name: 'then_branch', type: 5 })),
    says: [model, 'then_branch', 'a subgraph', 'serve an export without'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'functions of its own',
    apply: editRaw((value) => value.functions.push(new Uint8Array(2))),
    says: [model, 'functions', 'inline'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'two nodes that give the same value',
    apply: editGraph((graph) => graph.nodes.push({ ...(graph.nodes[0] as Graph['nodes'][0]), name: 'again' })),
    says: [model, 'more than once'],
  },
];

const externals: Damage[] = [
  {
    name: 'no data file',
    apply: async (directory) => {
      await external(() => undefined)(directory);
      await rm(join(directory, data));
    },
    says: [data, 'is missing', 'copy it beside'],
  },
  {
    name: 'a data file that is cut off',
    apply: external(() => undefined, 4),
    says: [data, 'cut off', 'model.embed_tokens.weight', 'download or export'],
  },
  {
    name: 'a pointer in the place of the data file',
    apply: async (directory) => {
      await external(() => undefined)(directory);
      await write(data, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')(directory);
    },
    says: [data, 'git lfs pull'],
  },
  {
    name: 'data that begins too late in its file',
    apply: external((place) => {
      place.offset = 4096;
    }),
    says: [data, 'cut off'],
  },
  {
    name: 'data of another length',
    apply: external((place) => {
      place.length -= 32;
    }),
    says: [model, 'model.embed_tokens.weight', '33280 bytes'],
  },
  {
    name: 'data at a place that is no number',
    apply: external((place) => {
      place.offset = Number.NaN;
    }),
    says: [model, 'NaN'],
  },
  {
    name: 'data outside the folder',
    apply: external((place) => {
      place.location = '../config.json';
    }),
    says: [model, '../config.json', 'not a file beside the model'],
  },
  {
    name: 'data at an absolute path',
    apply: external((place) => {
      place.location = '/etc/passwd';
    }),
    says: [model, '/etc/passwd', 'not a file beside the model'],
  },
];

const zeros = (...dims: number[]): Tensor =>
  float32Tensor(new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims);

const sizes: Damage[] = [
  {
    name: 'no number of layers',
    apply: set('config.json', 'num_hidden_layers', undefined),
    says: ['num_hidden_layers', 'Llama-like'],
  },
  { name: 'more layers', apply: set('config.json', 'num_hidden_layers', 3), says: [model, 'past_key_values.2.key'] },
  { name: 'very many layers', apply: set('config.json', 'num_hidden_layers', 1e9), says: ['num_hidden_layers'] },
  { name: 'fewer layers', apply: set('config.json', 'num_hidden_layers', 1), says: [model, 'num_hidden_layers'] },
  { name: 'another hidden size', apply: set('config.json', 'hidden_size', 64), says: [model, 'hidden_size 64'] },
  { name: 'other heads', apply: set('config.json', 'num_attention_heads', 8), says: [model, '8, 2 and 8'] },
  { name: 'other key-value heads', apply: set('config.json', 'num_key_value_heads', 1), says: [model, '1 key-value'] },
  {
    name: 'key-value heads that do not divide the heads',
    apply: set('config.json', 'num_key_value_heads', 3),
    says: ['config.json', 'num_key_value_heads', 'must divide'],
  },
  { name: 'another head size', apply: set('config.json', 'head_dim', 16), says: [model, 'size 16'] },
  { name: 'a larger vocabulary', apply: set('config.json', 'vocab_size', 300), says: [model, 'vocab_size 300'] },
  {
    name: 'a context beyond the rotary tables',
    apply: set('config.json', 'max_position_embeddings', 4096),
    says: [model, '128 positions', 'max_position_embeddings 4096'],
  },
  {
    name: 'a weight of another shape',
    apply: setTensor('model.layers.0.mlp.up_proj.weight', () => zeros(33, 48)),
    says: [model, 'onnxruntime refuses', 'imension'],
  },
  {
    name: 'an embedding of another width',
    apply: setTensor('model.embed_tokens.weight', () => zeros(260, 16)),
    says: [model, 'embeds tokens as [260, 16]', 'hidden_size 32'],
  },
  {
    name: 'weights in float16',
    apply: setTensor('model.layers.0.mlp.up_proj.weight', ({ dims }) => ({
      type: 'float16',
      dims,
      data: new Uint8Array(2 * 32 * 48),
    })),
    says: [model, 'float16', 'float32'],
  },
  {
    name: 'weights in bfloat16',
    apply: editRaw(({ graph }) => {
      const [tensor] = graph.initializer;
      if (tensor === undefined) return;
      tensor.dataType = 16;
      tensor.rawData = tensor.rawData.subarray(0, tensor.rawData.length / 2);
    }),
    says: [model, 'bfloat16', 'float32'],
  },
  {
    name: 'a cache in float16',
    apply: editGraph((graph) => {
      const name = 'past_key_values.0.key';
      graph.inputs.set(name, { type: 'float16', dims: graph.inputs.get(name)?.dims ?? [] });
    }),
    says: [model, 'cache in float16', 'float32'],
  },
];

const interfaces: Damage[] = [
  {
    name: 'no attention mask',
    apply: editGraph((graph) => graph.inputs.delete('attention_mask')),
    says: [model, 'attention_mask'],
  },
  { name: 'no logits', apply: editGraph((graph) => graph.outputs.delete('logits')), says: [model, 'lacks logits'] },
  {
    name: 'no present',
    apply: editGraph((graph) => graph.outputs.delete('present.1.value')),
    says: [model, 'present.1.value', 'text-generation-with-past'],
  },
  {
    name: 'an input that nobody feeds',
    apply: editGraph((graph) => graph.inputs.set('pixel_values', { type: 'float32', dims: ['n'] })),
    says: [model, 'pixel_values'],
  },
  {
    name: 'attention of another kind',
    apply: editGraph((graph) => {
      graph.nodes = graph.nodes.map((node) =>
        node.op === 'GroupQueryAttention' ? { ...node, op: 'MultiHeadAttention', domain: microsoft } : node,
      );
    }),
    says: [model, 'GroupQueryAttention', 'model builder of ONNX Runtime GenAI'],
    code: 'OPERATOR_UNSUPPORTED',
  },
];

const tokenizers: Damage[] = [
  {
    name: 'a tokenizer of another model',
    apply: tokens((vocabulary) => {
      vocabulary.aa = 400;
    }),
    says: ['tokenizer.json', '401 tokens', 'vocab_size 260', 'same model'],
  },
  {
    name: 'a tokenizer of another kind',
    apply: edit('tokenizer.json', (json) => {
      (json.model as Json).type = 'Unigram';
    }),
    says: ['tokenizer.json', 'model.type', 'serve a model with a byte-level BPE tokenizer'],
  },
  {
    name: 'tokens that are not bytes',
    apply: tokens((vocabulary) => {
      vocabulary['▁the'] = 255;
    }),
    says: ['tokenizer.json', '"▁the"', 'byte-level', 'serve a model with a byte-level BPE tokenizer'],
  },
  {
    name: 'two tokens of one id',
    apply: tokens((vocabulary) => {
      vocabulary.ab = 5;
    }),
    says: ['tokenizer.json', 'two tokens have the id 5', 'download the file again'],
  },
  {
    name: 'a token id that no vocabulary has',
    apply: tokens((vocabulary) => {
      vocabulary.ab = 2 ** 40;
    }),
    says: ['tokenizer.json', 'model.vocab.ab'],
  },
  {
    name: 'a pre-tokenizer that nobody knows',
    apply: set('tokenizer.json', 'pre_tokenizer', { type: 'Frobnicate' }),
    says: ['tokenizer.json', 'Frobnicate'],
  },
  {
    name: 'an end token beyond the vocabulary',
    apply: set('generation_config.json', 'eos_token_id', 999),
    says: ['eos_token_id', '999', 'vocab_size 260'],
  },
  {
    name: 'no end token',
    apply: async (directory) => {
      for (const file of ['config.json', 'generation_config.json'])
        await set(file, 'eos_token_id', undefined)(directory);
      await set('tokenizer_config.json', 'eos_token', null)(directory);
    },
    says: ['config.json', 'names no end token', 'add eos_token_id'],
  },
  {
    name: 'a beginning token beyond the vocabulary',
    apply: set('config.json', 'bos_token_id', 260),
    says: ['bos_token_id', '260'],
  },
  {
    name: 'a negative end token',
    apply: set('generation_config.json', 'eos_token_id', -1),
    says: ['generation_config.json', 'eos_token_id'],
  },
  {
    name: 'a template that does not parse',
    apply: set('tokenizer_config.json', 'chat_template', '{% for %}'),
    says: ['tokenizer_config.json', 'template', 'remove it'],
  },
  {
    name: 'a template file that does not parse',
    apply: write('chat_template.jinja', '{{ messages'),
    says: ['chat_template.jinja', 'template'],
  },
];

/** The whole table. */
export const damages: readonly Damage[] = [...files, ...models, ...externals, ...sizes, ...interfaces, ...tokenizers];
