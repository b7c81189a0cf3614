/** Writes a package: a model folder in the layout of Hugging Face and transformers.js, which Hone serves. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeModel, type Tensor } from '../../src/onnx/index.js';
import { type DecoderShape, decoderGraph } from './decoder.js';

interface PackageContents {
  readonly shape: DecoderShape;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Tokenizer files by name: `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`. */
  readonly tokenizerFiles: Readonly<Record<string, unknown>>;
  readonly endTokenId: number;
}

/** Creates the folder and writes `config.json`, `generation_config.json`, the tokenizer's files and `onnx/model.onnx`. */
export async function writePackage(directory: string, contents: PackageContents): Promise<void> {
  await mkdir(join(directory, 'onnx'), { recursive: true });
  const files: Record<string, unknown> = {
    'config.json': llamaConfig(contents.shape, contents.endTokenId),
    'generation_config.json': { eos_token_id: contents.endTokenId, do_sample: true, temperature: 1 },
    ...contents.tokenizerFiles,
  };
  for (const [name, value] of Object.entries(files)) {
    await writeFile(join(directory, name), `${JSON.stringify(value, null, name === 'tokenizer.json' ? 0 : 2)}\n`);
  }
  await writeFile(join(directory, 'onnx', 'model.onnx'), encodeModel(decoderGraph(contents.shape, contents.weights)));
}

/** Returns the configuration with which `transformers` builds the same decoder. */
function llamaConfig(shape: DecoderShape, endTokenId: number): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.hiddenSize,
    intermediate_size: shape.ffnSize,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headSize,
    vocab_size: shape.vocabularySize,
    max_position_embeddings: shape.contextLength,
    rope_theta: shape.ropeTheta,
    rms_norm_eps: shape.rmsNormEpsilon,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: null,
    eos_token_id: endTokenId,
    pad_token_id: endTokenId,
    torch_dtype: 'float32',
  };
}
