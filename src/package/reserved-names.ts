/**
 * The names that Hone gives to inputs and values that it adds to a decoder. If a file uses one for a value of its own,
 * that value is renamed, because a graph cannot hold two values of one name.
 */

import type { Graph, Node } from '../onnx/index.js';

/**
 * Names in the decode variant, the training variant and the objective. Adapters are `<module>.lora_A` and `.lora_B`.
 */
const reservedNames: ReadonlySet<string> = new Set([
  'position_ids',
  'past_lens',
  'last_index',
  'new_key_values',
  'top_probability',
  'segment_ids',
  'target_positions',
  'target_ids',
  'token_logprobs',
  'hidden_states',
  'row_of_token',
  'row_logprobs',
  'reference_logprobs',
  'weight_constants',
  'weight_slopes',
  'surrogate',
  'token_weights',
  'cross_entropy',
]);

const adapterName = /\.lora_[AB]$/;

/** Renames values inside the graph that have a reserved name. Inputs and outputs of the graph keep their names. */
export function freeReservedNames(graph: Graph): void {
  const inside = [...graph.initializers.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)];
  const renamed = new Map<string, string>();
  for (const name of inside) {
    if (!reservedNames.has(name) && !adapterName.test(name)) continue;
    if (!graph.outputs.has(name)) renamed.set(name, graph.freshName(name));
  }
  if (renamed.size === 0) return;
  const changed = (name: string): string => renamed.get(name) ?? name;
  for (const [name, other] of renamed) {
    const tensor = graph.initializers.get(name);
    if (tensor === undefined) continue;
    graph.initializers.delete(name);
    graph.initializers.set(other, tensor);
  }
  graph.nodes = graph.nodes.map(
    (node): Node => ({ ...node, inputs: node.inputs.map(changed), outputs: node.outputs.map(changed) }),
  );
}
