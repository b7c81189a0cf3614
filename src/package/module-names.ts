/** Module paths, as in the Hugging Face checkpoint, from the names that exporters give to weights and nodes. */

/** A name that a checkpoint has, as `model.layers.0.mlp.up_proj.weight`. */
export function isModuleWeight(weight: string): boolean {
  return /\.layers\.\d+\..*\.weight$/.test(weight) && !/\.MatMul\.weight$/.test(weight);
}

/**
 * The module path that a node's name tells: `/model/layers.0/attn/q_proj/MatMul` is `model.layers.0.self_attn.q_proj`,
 * as in the checkpoint. Undefined for nodes outside the blocks.
 */
export function moduleOfNode(node: string): string | undefined {
  const path = /^\/?(.*layers[./]\d+[./].+)[./]MatMul(?:_\w+)?$/.exec(node)?.[1];
  return path?.replaceAll('/', '.').replace(/(\.layers\.\d+\.)attn\./, '$1self_attn.');
}
