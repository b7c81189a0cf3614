/**
 * Converts a package of the Llama architecture into a GGUF file for llama.cpp, with the weights in float32 or q8_0.
 *
 * Packages hold linear weights as [in, out], GGUF as [out, in]. For rotary positions, packages pair a head's dimension i
 * with i + hd/2, and llama.cpp's architecture "llama" pairs 2i with 2i + 1, so the rows of q and k change their order.
 */

import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { float32Values, type Graph, isExternal, readModel, type Tensor } from '../../src/onnx/index.js';
import { loadPackage } from '../../src/package/index.js';
import { type GgufTensor, type GgufTensorType, type GgufValue, writeGguf } from './gguf.js';
import { say } from './progress.js';

/** The fields of `config.json` that the conversion needs. */
interface LlamaConfig {
  readonly model_type: string;
  readonly tie_word_embeddings: boolean;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rope_theta: number;
  readonly rms_norm_eps: number;
  readonly eos_token_id: number;
}

/** The fields of `tokenizer.json` with a byte-level BPE. */
interface TokenizerFile {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
  };
}

/** The modules of a layer, with llama.cpp's names. */
const modules = [
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
] as const;
const norms = [
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
] as const;

const tokenTypes = { normal: 1, control: 3, unused: 5 } as const;

/** Converts a package, unless that is done already. @returns the path of the file, in the system's temporary folder */
export async function openGguf(packageDirectory: string, type: GgufTensorType): Promise<string> {
  const { digest, name } = await loadPackage(packageDirectory);
  const folder = join(tmpdir(), 'hone-bench');
  const path = join(folder, `${name}-${digest.slice(0, 12)}-${type}.gguf`);
  if (existsSync(path)) return path;
  say(`writing ${name} as GGUF, ${type} ...`);
  await mkdir(folder, { recursive: true });
  const draft = `${path}.${process.pid}`;
  try {
    await convertPackage(packageDirectory, draft, type);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  return path;
}

/** @throws Error for a package of another architecture, or without tied embeddings */
export async function convertPackage(packageDirectory: string, path: string, type: GgufTensorType): Promise<void> {
  const read = async <T>(file: string): Promise<T> => JSON.parse(await readFile(join(packageDirectory, file), 'utf8'));
  const config = await read<LlamaConfig>('config.json');
  if (config.model_type !== 'llama' || !config.tie_word_embeddings) {
    throw new Error(`${packageDirectory} is not a Llama decoder with tied embeddings`);
  }
  const tokenizer = await read<TokenizerFile>('tokenizer.json');
  const graph = await readModel(join(packageDirectory, 'onnx/model.onnx'));
  const metadata = new Map([...decoderMetadata(config, type), ...tokenizerMetadata(config, tokenizer)]);
  await writeGguf(path, metadata, packageTensors(graph, config, type));
}

function decoderMetadata(config: LlamaConfig, type: GgufTensorType): [string, GgufValue][] {
  return [
    ['general.architecture', { string: 'llama' }],
    ['general.name', { string: 'hone bench' }],
    ['general.file_type', { u32: type === 'f32' ? 0 : 7 }],
    ['general.quantization_version', { u32: 2 }],
    ['llama.vocab_size', { u32: config.vocab_size }],
    ['llama.context_length', { u32: config.max_position_embeddings }],
    ['llama.embedding_length', { u32: config.hidden_size }],
    ['llama.feed_forward_length', { u32: config.intermediate_size }],
    ['llama.block_count', { u32: config.num_hidden_layers }],
    ['llama.attention.head_count', { u32: config.num_attention_heads }],
    ['llama.attention.head_count_kv', { u32: config.num_key_value_heads }],
    ['llama.attention.key_length', { u32: config.head_dim }],
    ['llama.attention.value_length', { u32: config.head_dim }],
    ['llama.attention.layer_norm_rms_epsilon', { f32: config.rms_norm_eps }],
    ['llama.rope.dimension_count', { u32: config.head_dim }],
    ['llama.rope.freq_base', { f32: config.rope_theta }],
  ];
}

/** Returns the tokens by id. llama.cpp needs one for each row of the embedding, so ids without a token get made-up names. */
function tokenizerMetadata(config: LlamaConfig, { added_tokens, model }: TokenizerFile): [string, GgufValue][] {
  const tokens = Array.from({ length: config.vocab_size }, (_, id) => `<|unused ${id}|>`);
  const types = new Array<number>(config.vocab_size).fill(tokenTypes.unused);
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = tokenTypes.normal;
  }
  for (const { id, content } of added_tokens) {
    tokens[id] = content;
    types[id] = tokenTypes.control;
  }
  return [
    ['tokenizer.ggml.model', { string: 'gpt2' }],
    ['tokenizer.ggml.pre', { string: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { strings: tokens }],
    ['tokenizer.ggml.token_type', { i32s: types }],
    [
      'tokenizer.ggml.merges',
      { strings: model.merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' '))) },
    ],
    ['tokenizer.ggml.eos_token_id', { u32: config.eos_token_id }],
    ['tokenizer.ggml.add_bos_token', { bool: false }],
  ];
}

function packageTensors(graph: Graph, config: LlamaConfig, type: GgufTensorType): GgufTensor[] {
  const weight = (name: string): Tensor => {
    const tensor = graph.initializers.get(`${name}.weight`);
    if (tensor === undefined) throw new Error(`the decoder has no weight named ${name}.weight`);
    return tensor;
  };
  const values = (name: string): Promise<Float32Array> => readValues(graph, weight(name));
  const norm = (name: string, source: string): GgufTensor => ({
    name: `${name}.weight`,
    type: 'f32',
    dims: weight(source).dims,
    read: () => values(source),
  });
  const linear = (name: string, source: string): GgufTensor => {
    const [rows, columns] = weight(source).dims as [number, number];
    const reordered = /[qk]_proj$/.test(source);
    return {
      name: `${name}.weight`,
      type,
      dims: [columns, rows],
      read: async () => {
        const matrix = transpose(await values(source), rows, columns);
        return reordered ? pairNeighbours(matrix, rows, config.head_dim) : matrix;
      },
    };
  };
  const embedding = 'model.embed_tokens';
  const tensors: GgufTensor[] = [
    { name: 'token_embd.weight', type, dims: weight(embedding).dims, read: () => values(embedding) },
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const [from, to] = [`model.layers.${layer}`, `blk.${layer}`];
    for (const [source, name] of norms) tensors.push(norm(`${to}.${name}`, `${from}.${source}`));
    for (const [source, name] of modules) tensors.push(linear(`${to}.${name}`, `${from}.${source}`));
  }
  tensors.push(norm('output_norm', 'model.norm'));
  return tensors;
}

async function readValues(graph: Graph, tensor: Tensor): Promise<Float32Array> {
  if (!isExternal(tensor.data)) return float32Values(tensor);
  const { location, offset, length } = tensor.data;
  const values = new Float32Array(length / 4);
  const file = await open(join(graph.directory ?? '', location));
  try {
    await file.read(new Uint8Array(values.buffer), 0, length, offset);
  } finally {
    await file.close();
  }
  return values;
}

function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = matrix[row * columns + column] as number;
    }
  }
  return result;
}

/** Reorders the rows within each head of a matrix [heads * hd, length]: row i goes to 2i and row i + hd/2 to 2i + 1. */
export function pairNeighbours(matrix: Float32Array, length: number, headSize: number): Float32Array {
  const result = new Float32Array(matrix.length);
  const half = headSize / 2;
  for (let row = 0; row < matrix.length / length; row++) {
    const [head, within] = [Math.floor(row / headSize), row % headSize];
    const target = head * headSize + (within < half ? 2 * within : 2 * (within - half) + 1);
    result.set(matrix.subarray(row * length, (row + 1) * length), target * length);
  }
  return result;
}
