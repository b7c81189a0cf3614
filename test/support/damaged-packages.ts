/** A table of damages to a good package, with the error that each must cause. */

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

interface Damage {
  /** The object of "refuses a package with". */
  readonly name: string;
  /** Damages a copy of the tiny package. */
  readonly apply: (directory: string) => Promise<unknown>;
  /** Parts of the error message: file, reason, remedy. */
  readonly mentions: readonly string[];
  /** Default `PACKAGE_INVALID`. */
  readonly code?: string;
}

const files: Damage[] = [
  { name: 'no config.json', apply: remove('config.json'), mentions: ['config.json', 'cannot be read'] },
  { name: 'no tokenizer.json', apply: remove('tokenizer.json'), mentions: ['tokenizer.json', 'cannot be read'] },
  { name: 'no tokenizer_config.json', apply: remove('tokenizer_config.json'), mentions: ['tokenizer_config.json'] },
  { name: 'no model', apply: remove(model), mentions: [model, 'export'] },
  {
    name: 'a folder instead of the model',
    apply: async (directory) => {
      await rm(join(directory, model));
      await mkdir(join(directory, model));
    },
    mentions: [model, 'cannot be read'],
  },
  { name: 'a config.json that is not JSON', apply: write('config.json', '{'), mentions: ['config.json', 'not JSON'] },
  { name: 'a config.json that holds a list', apply: write('config.json', '[]'), mentions: ['config.json', 'expected'] },
  {
    name: 'a generation_config.json that is not JSON',
    apply: write('generation_config.json', ''),
    mentions: ['generation_config.json', 'not JSON'],
  },
  {
    name: 'a tokenizer.json that is cut off',
    apply: (directory) => truncate(join(directory, 'tokenizer.json'), 1000),
    mentions: ['tokenizer.json', 'not JSON', 'download'],
  },
  {
    name: 'a Git LFS pointer instead of tokenizer.json',
    apply: write('tokenizer.json', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
    mentions: ['tokenizer.json', 'git lfs pull'],
  },
  {
    name: 'a tokenizer_config.json that is not JSON',
    apply: write('tokenizer_config.json', 'nothing'),
    mentions: ['tokenizer_config.json', 'not JSON'],
  },
];

const models: Damage[] = [
  { name: 'an empty model', apply: write(model, ''), mentions: [model, 'no graph', 'download or export'] },
  { name: 'a model that is text', apply: write(model, 'not a model'), mentions: [model, 'not an ONNX file'] },
  {
    name: 'a model that is cut off',
    apply: (directory) => truncate(join(directory, model), 60_000),
    mentions: [model, 'not an ONNX file', 'download or export'],
  },
  {
    name: 'a Git LFS pointer instead of the model',
    apply: write(model, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
    mentions: [model, 'git lfs pull'],
  },
  {
    name: 'a model that lacks a weight',
    apply: editGraph((graph) => graph.initializers.delete('model.norm.weight')),
    mentions: [model, 'model.norm.weight', 'no input, initializer or output of a node'],
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
    mentions: [model, 'cycle'],
  },
  {
    name: 'an unknown operator',
    apply: editGraph((graph) => {
      const head = graph.nodes.at(-1);
      if (head === undefined) return;
      graph.opsets.set('com.acme', 1);
      const hidden = graph.add('Frobnicate', [head.inputs[0] as string], { domain: 'com.acme' });
      graph.replaceNode(head, [{ ...head, inputs: [hidden, head.inputs[1] as string] }]);
      graph.prune();
    }),
    mentions: [model, 'com.acme.Frobnicate', 'export the model'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'operators of an opset that onnxruntime does not know',
    apply: editGraph((graph) => graph.opsets.set('', 999)),
    mentions: [model, 'onnxruntime refuses'],
  },
  {
    name: 'a subgraph in an attribute',
    apply: editRaw(({ graph }) => graph.node[0]?.attribute.push({ name: 'then_branch', type: 5 })),
    mentions: [model, 'then_branch', 'a subgraph', 'serve an export without'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'functions defined in the model',
    apply: editRaw((value) => value.functions.push(new Uint8Array(2))),
    mentions: [model, 'functions', 'inline'],
    code: 'OPERATOR_UNSUPPORTED',
  },
  {
    name: 'two nodes with the same output',
    apply: editGraph((graph) => graph.nodes.push({ ...(graph.nodes[0] as Graph['nodes'][0]), name: 'again' })),
    mentions: [model, 'more than one source'],
  },
];

const externals: Damage[] = [
  {
    name: 'no data file',
    apply: async (directory) => {
      await external(() => undefined)(directory);
      await rm(join(directory, data));
    },
    mentions: [data, 'is missing', 'copy it beside'],
  },
  {
    name: 'a data file that is cut off',
    apply: external(() => undefined, 4),
    mentions: [data, 'cut off', 'model.embed_tokens.weight', 'download or export'],
  },
  {
    name: 'a Git LFS pointer instead of the data file',
    apply: async (directory) => {
      await external(() => undefined)(directory);
      await write(data, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')(directory);
    },
    mentions: [data, 'git lfs pull'],
  },
  {
    name: 'a tensor that reaches beyond the end of the data file',
    apply: external((place) => {
      place.offset = 4096;
    }),
    mentions: [data, 'cut off'],
  },
  {
    name: 'a tensor whose data has another length than its shape needs',
    apply: external((place) => {
      place.length -= 32;
    }),
    mentions: [model, 'model.embed_tokens.weight', '33280 bytes'],
  },
  {
    name: 'a tensor whose offset is not a number',
    apply: external((place) => {
      place.offset = Number.NaN;
    }),
    mentions: [model, 'NaN'],
  },
  {
    name: 'data outside the folder',
    apply: external((place) => {
      place.location = '../config.json';
    }),
    mentions: [model, '../config.json', 'not a file beside the model'],
  },
  {
    name: 'data at an absolute path',
    apply: external((place) => {
      place.location = '/etc/passwd';
    }),
    mentions: [model, '/etc/passwd', 'not a file beside the model'],
  },
];

const zeros = (...dims: number[]): Tensor =>
  float32Tensor(new Float32Array(dims.reduce((product, dim) => product * dim, 1)), dims);

const sizes: Damage[] = [
  {
    name: 'no num_hidden_layers',
    apply: set('config.json', 'num_hidden_layers', undefined),
    mentions: ['num_hidden_layers', 'Llama-like'],
  },
  {
    name: 'more layers in config.json than in the model',
    apply: set('config.json', 'num_hidden_layers', 3),
    mentions: [model, 'past_key_values.2.key'],
  },
  {
    name: 'a billion layers in config.json',
    apply: set('config.json', 'num_hidden_layers', 1e9),
    mentions: ['num_hidden_layers'],
  },
  {
    name: 'fewer layers in config.json than in the model',
    apply: set('config.json', 'num_hidden_layers', 1),
    mentions: [model, 'num_hidden_layers'],
  },
  {
    name: 'another hidden size in config.json',
    apply: set('config.json', 'hidden_size', 64),
    mentions: [model, 'hidden_size 64'],
  },
  {
    name: 'another number of heads in config.json',
    apply: set('config.json', 'num_attention_heads', 8),
    mentions: [model, '8, 2 and 8'],
  },
  {
    name: 'another number of key-value heads in config.json',
    apply: set('config.json', 'num_key_value_heads', 1),
    mentions: [model, '1 key-value'],
  },
  {
    name: 'a number of key-value heads that does not divide the number of heads',
    apply: set('config.json', 'num_key_value_heads', 3),
    mentions: ['config.json', 'num_key_value_heads', 'must divide'],
  },
  { name: 'another head size in config.json', apply: set('config.json', 'head_dim', 16), mentions: [model, 'size 16'] },
  {
    name: 'a larger vocabulary in config.json than in the model',
    apply: set('config.json', 'vocab_size', 300),
    mentions: [model, 'vocab_size 300'],
  },
  {
    name: 'a context that is longer than the rotary tables',
    apply: set('config.json', 'max_position_embeddings', 4096),
    mentions: [model, '128 positions', 'max_position_embeddings 4096'],
  },
  {
    name: 'a weight of another shape',
    apply: setTensor('model.layers.0.mlp.up_proj.weight', () => zeros(33, 48)),
    mentions: [model, 'onnxruntime refuses', 'imension'],
  },
  {
    name: 'an embedding of another width',
    apply: setTensor('model.embed_tokens.weight', () => zeros(260, 16)),
    mentions: [model, 'embeds tokens as [260, 16]', 'hidden_size 32'],
  },
  {
    name: 'weights in float16',
    apply: setTensor('model.layers.0.mlp.up_proj.weight', ({ dims }) => ({
      type: 'float16',
      dims,
      data: new Uint8Array(2 * 32 * 48),
    })),
    mentions: [model, 'float16', 'float32'],
  },
  {
    name: 'weights in bfloat16',
    apply: editRaw(({ graph }) => {
      const [tensor] = graph.initializer;
      if (tensor === undefined) return;
      tensor.dataType = 16;
      tensor.rawData = tensor.rawData.subarray(0, tensor.rawData.length / 2);
    }),
    mentions: [model, 'bfloat16', 'float32'],
  },
  {
    name: 'a cache in float16',
    apply: editGraph((graph) => {
      const name = 'past_key_values.0.key';
      graph.inputs.set(name, { type: 'float16', dims: graph.inputs.get(name)?.dims ?? [] });
    }),
    mentions: [model, 'cache in float16', 'float32'],
  },
];

const interfaces: Damage[] = [
  {
    name: 'a model without an attention mask',
    apply: editGraph((graph) => graph.inputs.delete('attention_mask')),
    mentions: [model, 'attention_mask'],
  },
  {
    name: 'a model without logits',
    apply: editGraph((graph) => graph.outputs.delete('logits')),
    mentions: [model, 'lacks logits'],
  },
  {
    name: 'a model without one output of the cache',
    apply: editGraph((graph) => graph.outputs.delete('present.1.value')),
    mentions: [model, 'present.1.value', 'text-generation-with-past'],
  },
  {
    name: 'a model input that Hone does not feed',
    apply: editGraph((graph) => graph.inputs.set('pixel_values', { type: 'float32', dims: ['n'] })),
    mentions: [model, 'pixel_values'],
  },
  {
    name: 'attention other than GroupQueryAttention',
    apply: editGraph((graph) => {
      graph.nodes = graph.nodes.map((node) =>
        node.op === 'GroupQueryAttention' ? { ...node, op: 'MultiHeadAttention', domain: microsoft } : node,
      );
    }),
    mentions: [model, 'GroupQueryAttention', 'model builder of ONNX Runtime GenAI'],
    code: 'OPERATOR_UNSUPPORTED',
  },
];

/** Lists a token beside the vocabulary, behind all others. */
async function addToken(directory: string, content: string): Promise<void> {
  await edit('tokenizer.json', (json) => {
    (json.added_tokens as Json[]).push({ id: 260, content, special: false });
  })(directory);
}

const tokenizers: Damage[] = [
  {
    name: 'a tokenizer of another model',
    apply: tokens((vocabulary) => {
      vocabulary.aa = 400;
    }),
    mentions: ['tokenizer.json', '401 tokens', 'vocab_size 260', 'same model'],
  },
  {
    name: 'a tokenizer of a kind that is not read',
    apply: edit('tokenizer.json', (json) => {
      (json.model as Json).type = 'WordPiece';
    }),
    mentions: ['tokenizer.json', 'model.type', 'serve a model with another tokenizer'],
  },
  {
    name: 'a vocabulary that is not byte-level',
    apply: tokens((vocabulary) => {
      vocabulary['▁the'] = 260;
    }),
    mentions: ['tokenizer.json', '"▁the"', 'not byte-level', 'serve a model with another tokenizer'],
  },
  {
    name: 'two tokens with the same id',
    apply: tokens((vocabulary) => {
      vocabulary.ab = 5;
    }),
    mentions: ['tokenizer.json', 'two tokens have the id 5', 'download the file again'],
  },
  {
    name: 'a token id beyond the largest vocabulary',
    apply: tokens((vocabulary) => {
      vocabulary.ab = 2 ** 40;
    }),
    mentions: ['tokenizer.json', 'model.vocab.ab'],
  },
  {
    name: 'an unknown pre-tokenizer',
    apply: set('tokenizer.json', 'pre_tokenizer', { type: 'Frobnicate' }),
    mentions: ['tokenizer.json', 'Frobnicate'],
  },
  {
    name: 'an end token beyond the vocabulary',
    apply: set('generation_config.json', 'eos_token_id', 999),
    mentions: ['generation_config.json', 'eos_token_id', '999', '259'],
  },
  {
    name: 'no end token',
    apply: async (directory) => {
      for (const file of ['config.json', 'generation_config.json'])
        await set(file, 'eos_token_id', undefined)(directory);
      await set('tokenizer_config.json', 'eos_token', null)(directory);
    },
    mentions: ['config.json', 'names no end token', 'add eos_token_id'],
  },
  {
    name: 'a beginning-of-sequence token beyond the vocabulary',
    apply: set('config.json', 'bos_token_id', 260),
    mentions: ['bos_token_id', '260'],
  },
  {
    name: 'an end token that the tokenizer adds and the model does not have',
    apply: async (directory) => {
      await addToken(directory, '<|extra|>');
      await set('generation_config.json', 'eos_token_id', 260)(directory);
    },
    mentions: ['config.json', 'ends with token 260', 'vocab_size 260'],
  },
  {
    name: 'a negative end token',
    apply: set('generation_config.json', 'eos_token_id', -1),
    mentions: ['generation_config.json', 'eos_token_id'],
  },
  {
    name: 'a template that does not parse',
    apply: set('tokenizer_config.json', 'chat_template', '{% for %}'),
    mentions: ['tokenizer_config.json', 'template', 'remove it'],
  },
  {
    name: 'a template that the engine cannot render',
    apply: set('tokenizer_config.json', 'chat_template', '{{ messages[0].content | center(9) }}'),
    mentions: ['tokenizer_config.json', 'cannot render a chat', 'center', 'remove it'],
  },
  {
    name: 'a template file that does not parse',
    apply: write('chat_template.jinja', '{{ messages'),
    mentions: ['chat_template.jinja', 'template'],
  },
];

/** All damages. */
export const damages: readonly Damage[] = [...files, ...models, ...externals, ...sizes, ...interfaces, ...tokenizers];
