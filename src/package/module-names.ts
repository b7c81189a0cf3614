/** Derives module paths, as in the Hugging Face checkpoint, from the names that exporters give to weights and nodes. */

/** Whether a weight has the name that a checkpoint gives it, such as `model.layers.0.mlp.up_proj.weight`. */
export function isModuleWeight(weight: string): boolean {
  return /\.layers\.\d+\..*\.weight$/.test(weight) && !/\.MatMul\.weight$/.test(weight);
}

/**
 * Returns the module path of a node: `model.layers.0.self_attn.q_proj` for `/model/layers.0/attn/q_proj/MatMul`.
 * Undefined for nodes outside the blocks.
 */
export function moduleOfNode(node: string): string | undefined {
  const path = /^\/?(.*layers[./]\d+[./].+)[./]MatMul(?:_\w+)?$/.exec(node)?.[1];
  return path?.replaceAll('/', '.').replace(/(\.layers\.\d+\.)attn\./, '$1self_attn.');
}
