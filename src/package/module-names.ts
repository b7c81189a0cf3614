/** Derives module paths, as in the Hugging Face checkpoint, from the names that exporters give to weights and nodes. */

import type { Node } from '../onnx/index.js';

/** The list of blocks in a module path: `model.layers.0.`, or `transformer.h.0.` in GPT-2 and its relatives. */
const inBlock = /(?:^|\.)(?:layers|h)\.\d+\./;

/** Whether a module lies in one of the decoder's blocks, as all layers with adapters do. */
export function isBlockModule(module: string): boolean {
  return inBlock.test(`${module}.`);
}

/** Whether a weight has the name that a checkpoint gives it, such as `model.layers.0.mlp.up_proj.weight`. */
export function isModuleWeight(weight: string): boolean {
  return inBlock.test(weight) && weight.endsWith('.weight') && !weight.endsWith('.MatMul.weight');
}

/**
 * Returns the module path of a node: `model.layers.0.self_attn.q_proj` for `/model/layers.0/attn/q_proj/MatMul`, and
 * `transformer.h.0.attn.c_attn` for `/transformer/h.0/attn/c_attn/MatMul`. Undefined for nodes outside the blocks.
 */
export function moduleOfNode(node: string): string | undefined {
  const path = /^\/?(.*(?:layers|(?<![^./])h)[./]\d+[./].+)[./]MatMul(?:_\w+)?$/.exec(node)?.[1];
  return path?.replaceAll('/', '.').replace(/(\.layers\.\d+\.)attn\./, '$1self_attn.');
}

/** Returns the module of a node: the one that the exporter notes, or the one in its name. Undefined outside the blocks. */
export function moduleOf({ module, name }: Node): string | undefined {
  return module !== undefined && isBlockModule(module) ? module : moduleOfNode(name);
}
