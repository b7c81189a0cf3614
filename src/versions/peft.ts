/**
 * Converts adapters to and from the files of Hugging Face PEFT, so that PEFT can load a learned adapter and Hone can load
 * one of PEFT's. PEFT stores the transposes: `base_model.model.<module>.lora_A.weight` [r, in] and `...lora_B.weight` [out, r].
 */

import { HoneError } from '../errors.js';
import { checkAdapter } from './adapter.js';
import { readLoraConfig } from './peft-config.js';
import { decodeSafeTensors, encodeSafeTensors, type SafeTensor } from './safetensors.js';
import type { Adapter, AdapterTensor } from './types.js';

/** The fields of `adapter_config.json` that Hone writes. `peft-config.ts` reads the files of others. */
export interface PeftConfig {
  readonly peft_type: 'LORA';
  readonly task_type: 'CAUSAL_LM';
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly target_modules: readonly string[];
  readonly base_model_name_or_path: string;
  readonly bias: 'none';
  readonly fan_in_fan_out: boolean;
  readonly inference_mode: boolean;
}

const prefix = 'base_model.model.';

/** Returns `adapter_config.json` of an adapter. It names each module by its full path, so that no other layer matches. */
export function peftConfig(adapter: Adapter, baseModel: string): PeftConfig {
  const modules = [...adapter.tensors.keys()].filter((name) => name.endsWith('.lora_A'));
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: adapter.rank,
    lora_alpha: adapter.scale * adapter.rank,
    lora_dropout: 0,
    target_modules: modules.map((name) => name.slice(0, -'.lora_A'.length)).sort(),
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
  };
}

/** Returns `adapter_model.safetensors` of an adapter. */
export function encodePeftWeights(adapter: Adapter): Uint8Array {
  const tensors = new Map<string, SafeTensor>();
  for (const name of [...adapter.tensors.keys()].sort()) {
    tensors.set(`${prefix}${name}.weight`, transpose(adapter.tensors.get(name) as AdapterTensor));
  }
  return encodeSafeTensors(tensors, { format: 'pt' });
}

/**
 * Reads an adapter from the bytes of `adapter_model.safetensors` and a parsed `adapter_config.json`. The scale is
 * `lora_alpha / r`.
 * @throws HoneError `ADAPTER_INVALID`
 */
export function decodePeft(weights: Uint8Array, config: unknown): Adapter {
  const { rank, alpha } = readLoraConfig(config);
  const tensors = new Map<string, AdapterTensor>();
  for (const [name, tensor] of decodeSafeTensors(weights).tensors) {
    if (!name.startsWith(prefix) || !name.endsWith('.weight') || tensor.dims.length !== 2) {
      throw invalid(`tensor ${name} of shape [${tensor.dims}] does not belong to a LoRA adapter`);
    }
    tensors.set(name.slice(prefix.length, -'.weight'.length), transpose(tensor));
  }
  const adapter = { rank, scale: alpha / rank, tensors };
  checkAdapter(adapter);
  return adapter;
}

function transpose({ dims, data }: SafeTensor): AdapterTensor {
  const [rows = 0, columns = 0] = dims;
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j] as number;
  }
  return { dims: [columns, rows], data: out };
}

function invalid(reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `this is not an adapter in PEFT's layout: ${reason}`);
}
