/**
 * Compares the windows of attention with `config.json` where onnxruntime cannot tell whether the file is right.
 *
 * onnxruntime for the CPU does not run some forms of attention: a cache that holds a window only, and norms of query and
 * key inside the operator. Such a file cannot be compared with what it computes itself, and exporters have written wrong
 * windows. Therefore its windows must be those of the configuration.
 */

import type { HoneError } from '../errors.js';
import { type Graph, type Node, numberAttribute } from '../onnx/index.js';
import type { AttentionSite } from './lowering.js';
import type { DecoderConfig } from './types.js';

/** What `config.json` says about windows. A field of another type counts as absent. */
export interface WindowFields {
  readonly model_type: string;
  readonly num_hidden_layers: number;
  readonly sliding_window?: number | null | undefined;
  readonly use_sliding_window?: boolean | null | undefined;
  readonly layer_types?: readonly string[] | null | undefined;
}

/** Model types whose layers all have the window of `sliding_window`, if that is set. */
const windowedTypes: ReadonlySet<string> = new Set(['mistral', 'phi3']);
/** Model types without windows, or without any unless `use_sliding_window` is set. */
const plainTypes: ReadonlySet<string> = new Set(['llama', 'granite', 'qwen2', 'qwen3']);

/** Returns the keys that a token sees, by layer (`null`: all); `null` if the configuration does not tell. */
export function configuredWindows(fields: WindowFields): readonly (number | null)[] | null {
  const { model_type: type, num_hidden_layers: layers, layer_types: kinds, sliding_window: window } = fields;
  const all = (value: number | null) => new Array<number | null>(layers).fill(value);
  if (kinds) {
    const listed = kinds.map((kind) => (kind === 'full_attention' ? null : kind === 'sliding_attention' ? window : 0));
    const isClear = listed.length === layers && listed.every((one) => one === null || (one ?? 0) > 0);
    const missesWindow = kinds.includes('sliding_attention') && !window;
    return isClear && !missesWindow ? (listed as (number | null)[]) : null;
  }
  if (windowedTypes.has(type)) return all(window ?? null);
  return plainTypes.has(type) && !fields.use_sliding_window ? all(null) : null;
}

/**
 * Checks the windows of the attention that onnxruntime for the CPU does not run.
 * @param source the graph as the file has it
 * @param sites attention in its normal form
 * @param refuse returns the error about the model file with this problem
 */
export function checkWindows(
  source: Graph,
  sites: readonly AttentionSite[],
  { windows, contextLength }: DecoderConfig,
  refuse: (problem: string) => HoneError,
): void {
  if (!source.nodes.some(isUnproved)) return;
  const effective = (window: number | null): number => Math.min(window ?? contextLength, contextLength);
  for (const { node, layer, window } of sites) {
    const stated = windows?.[layer];
    if (stated !== undefined && effective(stated) === effective(window)) continue;
    const says = stated === undefined ? 'does not tell' : `says ${keys(stated)}`;
    throw refuse(
      `lets each token see ${keys(window)} in ${node.name}, but config.json ${says}; onnxruntime for the CPU does not run ` +
        'this form of attention, so that nothing shows which is right; export the model for the CPU, with a cache of the ' +
        'whole context',
    );
  }
}

const keys = (window: number | null): string => (window === null ? 'all keys' : `${window} keys`);

const isUnproved = (node: Node): boolean =>
  node.op === 'GroupQueryAttention' &&
  (numberAttribute(node, 'sliding_window_cache', 0) !== 0 ||
    [14, 15].some((index) => (node.inputs[index] ?? '') !== ''));
