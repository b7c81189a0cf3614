/** Checks that a decoder fits `config.json`: its interface, its sizes and its element types. */

import type { HoneError } from '../errors.js';
import type { ElementType, Graph, ValueInfo } from '../onnx/index.js';
import type { AttentionSite } from './lowering.js';
import type { TokenFlow } from './token-flow.js';
import type { DecoderConfig } from './types.js';

/** Returns the error about the model file with this problem. */
type Refuse = (problem: string) => HoneError;

/** Matches the inputs that Hone feeds. */
const fed = /^(input_ids|attention_mask|position_ids|past_key_values\.\d+\.(key|value))$/;

const sameModel = 'take config.json and the model from the same export';

/**
 * Checks for the interface of an Optimum text-generation export with past, in float32, with as many layers as the
 * configuration has.
 */
export function checkInterface(graph: Graph, config: DecoderConfig, refuse: Refuse): void {
  const unknown = [...graph.inputs.keys()].find((name) => !fed.test(name));
  if (unknown !== undefined) {
    throw refuse(
      `has an input ${unknown}, which Hone does not feed: it serves decoders that read tokens, mask and positions, and ` +
        'whose only state is keys and values; take an export without this input, or serve another model',
    );
  }
  const missing = missingValues(graph, config);
  const constant = missing.find((name) => graph.initializers.has(name));
  if (constant !== undefined) {
    throw refuse(
      `contains a constant for its input ${constant}, which Hone feeds; export the model without that constant`,
    );
  }
  if (missing.length > 0) {
    const names = missing.slice(0, 4).join(', ');
    throw refuse(
      `lacks ${names}${missing.length > 4 ? '...' : ''}; ` +
        'export the model as text-generation-with-past (and with config.json of the same model)',
    );
  }
  if (graph.inputs.has(`past_key_values.${config.layers}.key`)) {
    throw refuse(`has more layers than the ${config.layers} of num_hidden_layers in config.json; ${sameModel}`);
  }
  for (const name of ['input_ids', 'attention_mask', 'position_ids']) {
    const type = graph.inputs.get(name)?.type ?? 'int64';
    if (type !== 'int64') throw refuse(`has an input ${name} of ${type}, not int64; export the model again`);
  }
  for (let layer = 0; layer < config.layers; layer++) {
    for (const name of [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`]) {
      checkCache(name, graph.inputs.get(name) as ValueInfo, config, refuse);
    }
  }
  const logits = graph.outputs.get('logits');
  if (logits && logits.type !== 'float32')
    throw refuse(`computes logits in ${logits.type}; export the model in float32`);
}

/**
 * Returns the first few missing names of the interface; not all, because the number of layers may be absurdly large.
 */
function missingValues(graph: Graph, { layers }: DecoderConfig): string[] {
  const missing = ['input_ids', 'attention_mask', 'position_ids'].filter((name) => !graph.inputs.has(name));
  if (!graph.outputs.has('logits')) missing.push('logits');
  for (let layer = 0; layer < layers && missing.length <= 4; layer++) {
    for (const part of ['key', 'value']) {
      if (!graph.inputs.has(`past_key_values.${layer}.${part}`)) missing.push(`past_key_values.${layer}.${part}`);
      if (!graph.outputs.has(`present.${layer}.${part}`)) missing.push(`present.${layer}.${part}`);
    }
  }
  return missing;
}

function checkCache(name: string, { type, dims }: ValueInfo, config: DecoderConfig, refuse: Refuse): void {
  if (type !== 'float32') throw refuse(`keeps its cache in ${type} (${name}); export the model in float32`);
  const { kvHeads, headSize } = config;
  const fits = dims.length === 4 && sameSize(dims[1], kvHeads) && sameSize(dims[3], headSize);
  if (fits) return;
  throw refuse(
    `${name} is [${dims.join(', ')}], but config.json has ${kvHeads} key-value heads of size ${headSize}; ${sameModel}`,
  );
}

/** Element types in which Hone does not even read a scalar. */
const neverComputed: ReadonlySet<ElementType> = new Set(['bfloat16', 'uint4', 'int4']);

/**
 * Compares embedding and head with vocabulary and hidden size, and refuses element types that Hone does not compute in.
 */
export function checkWeights(graph: Graph, config: DecoderConfig, refuse: Refuse): void {
  const { hiddenSize, vocabularySize } = config;
  for (const [name, { type, dims }] of graph.initializers) {
    if (neverComputed.has(type) || ((type === 'float16' || type === 'float64') && dims.length > 1)) {
      throw refuse(
        `has weights in ${type} (${name}); export the model in float32, and quantise that to make it smaller`,
      );
    }
  }
  const embedding = graph.nodes.find(({ op, inputs }) => op === 'Gather' && inputs[1] === 'input_ids');
  const table = graph.initializers.get(embedding?.inputs[0] ?? '');
  if (table !== undefined && (table.dims.length !== 2 || table.dims[1] !== hiddenSize)) {
    throw refuse(
      `embeds tokens as [${table.dims.join(', ')}], but config.json has hidden_size ${hiddenSize}; ${sameModel}`,
    );
  }
  const widths = [table?.dims[0], graph.outputs.get('logits')?.dims.at(-1)];
  const strange = widths.find((width) => !sameSize(width, vocabularySize));
  if (strange !== undefined) {
    throw refuse(`has ${strange} tokens, but config.json has vocab_size ${vocabularySize}; ${sameModel}`);
  }
}

/** Checks that each layer has one attention operator, with the configuration's heads. */
export function checkAttention(sites: readonly AttentionSite[], config: DecoderConfig, refuse: Refuse): void {
  const { heads, kvHeads, headSize, layers } = config;
  const strange = sites.find((site) => site.heads !== heads || site.kvHeads !== kvHeads || site.headSize !== headSize);
  if (strange !== undefined) {
    throw refuse(
      `${strange.node.name} has ${strange.heads} heads and ${strange.kvHeads} key-value heads of size ` +
        `${strange.headSize}, but config.json has ${heads}, ${kvHeads} and ${headSize}; ${sameModel}`,
    );
  }
  if (sites.length !== layers || sites.some(({ layer }, i) => layer !== i)) {
    throw refuse(`has ${sites.length} attention operators for ${layers} layers; ${sameModel}`);
  }
}

/** Compares the token flow with the configuration: the vocabulary, and tables long enough for every position. */
export function checkFlow(flow: TokenFlow, config: DecoderConfig, refuse: Refuse): void {
  const { contextLength, vocabularySize } = config;
  if (flow.vocabularySize !== vocabularySize) {
    throw refuse(
      `computes logits for ${flow.vocabularySize} tokens, but config.json has vocab_size ${vocabularySize}; ${sameModel}`,
    );
  }
  const short = flow.positionTables.find(({ rows }) => rows < contextLength);
  if (short === undefined) return;
  throw refuse(
    `${short.node.name} has a table of ${short.rows} positions, but config.json has max_position_embeddings ${contextLength}; ` +
      'lower it there, or export the model for that context',
  );
}

/** A dimension that is only known at run time fits any size. */
function sameSize(dim: number | string | undefined, size: number): boolean {
  return typeof dim !== 'number' || dim === size;
}
