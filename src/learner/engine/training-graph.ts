/**
 * The training variant of a package's graph: it has no cache and computes log-probabilities at completion positions
 * only.
 *
 * The completions of one prompt are packed into one sequence `[prompt, y1, y2, ..]`. Each token attends to the prompt
 * and to its own completion, and positions restart after the prompt. So the prompt is computed once for the whole
 * group, and every logit is the one that the completion would have alone.
 *
 * Inputs [B, T] int64: `input_ids`; `position_ids`; `segment_ids` (0 for the prompt, k for the k-th completion; padding
 * at the right end may hold anything). `target_positions` [N]: which of the B*T positions predicts; `target_ids` [N]:
 * the token that it should predict.
 */

import { addTokenLogProbability } from '../../autodiff/index.js';
import { HoneError } from '../../errors.js';
import { type Graph, microsoft, type Node } from '../../onnx/index.js';
import {
  type AttentionSite,
  capScores,
  findAttention,
  findHead,
  transposedInitializer,
} from '../../package/lowering.js';

/** Dimensions of the training graph's inputs in the two probes that separate constant from run-time dimensions. */
export const trainingProbeSizes = { B: [2, 3], T: [5, 7], N: [4, 6], R: [2, 3] } as const;

/** The value [N] that {@link toTrainingGraph} adds: ln pi(target | the tokens before it). */
export const tokenLogprobs = 'token_logprobs';
/** The value [B, T, D] that the head reads: the last hidden states, normalised. */
export const hiddenStates = 'hidden_states';

/** A copy of a package's graph as the training variant; {@link tokenLogprobs} is its only output. */
export function toTrainingGraph(source: Graph): Graph {
  const graph = source.clone();
  const sites = findAttention(graph);
  for (const name of ['attention_mask', ...sites.flatMap((site) => [site.pastKey, site.pastValue])])
    graph.inputs.delete(name);
  graph.inputs.set('segment_ids', { type: 'int64', dims: ['B', 'T'] });
  graph.inputs.set('input_ids', { type: 'int64', dims: ['B', 'T'] });
  graph.inputs.set('position_ids', { type: 'int64', dims: ['B', 'T'] });
  graph.inputs.set('target_positions', { type: 'int64', dims: ['N'] });
  graph.inputs.set('target_ids', { type: 'int64', dims: ['N'] });
  const { heads, kvHeads } = sites[0] as AttentionSite;
  const biases = new Map<number | null, string>();
  for (const site of sites) {
    const bias = biases.get(site.window) ?? addVisibility(graph, heads / kvHeads, site.window);
    biases.set(site.window, bias);
    fillAttention(graph, site, bias);
  }
  addTargetLogprobs(graph);
  graph.outputs.clear();
  graph.outputs.set(tokenLogprobs, { type: 'float32', dims: ['N'] });
  graph.prune();
  return graph;
}

/**
 * The attention bias [B, 1, g*T, T]: 0 if the query sees the key, hugely negative if not. A window counts positions,
 * which go on behind the prompt in each of its completions.
 */
function addVisibility(graph: Graph, groupSize: number, window: number | null): string {
  const length = graph.add('Squeeze', [
    graph.add('Shape', ['segment_ids'], { attributes: { start: { i: 1 }, end: { i: 2 } } }),
    graph.int64([0]),
  ]);
  const index = graph.add('Range', [graph.int64(0), length, graph.int64(1)]);
  const causal = graph.add('LessOrEqual', [index, graph.add('Unsqueeze', [index, graph.int64([1])])]);
  const keySegment = graph.add('Unsqueeze', ['segment_ids', graph.int64([1])]);
  const querySegment = graph.add('Unsqueeze', ['segment_ids', graph.int64([2])]);
  const prompt = graph.add('Equal', [keySegment, graph.int64(0)]);
  const own = graph.add('Equal', [keySegment, querySegment]);
  const mine = graph.add('And', [graph.add('Or', [prompt, own]), causal]);
  const visible = window === null ? mine : graph.add('And', [mine, addWindow(graph, window)]);
  const bias = graph.add('Where', [visible, graph.float(0), graph.float(-1e30)]);
  const perHead = graph.add('Unsqueeze', [bias, graph.int64([1])]);
  if (groupSize === 1) return perHead;
  return graph.add('Concat', new Array<string>(groupSize).fill(perHead), { attributes: { axis: { i: 2 } } });
}

/** [B, T, T]: whether a key's position is one of the `window` positions that end with the query's. */
function addWindow(graph: Graph, window: number): string {
  const key = graph.add('Unsqueeze', ['position_ids', graph.int64([1])]);
  const query = graph.add('Unsqueeze', ['position_ids', graph.int64([2])]);
  return graph.add('Greater', [graph.add('Add', [key, graph.int64(window)]), query]);
}

/**
 * softmax(cap(scale * Q K^T) + bias) V, with the query heads of a group stacked along the rows, so that no key is repeated.
 */
function fillAttention(graph: Graph, site: AttentionSite, bias: string): void {
  const { heads, kvHeads, headSize } = site;
  graph.removeNodes(new Set([site.node]));
  const split = (value: string, count: number): string =>
    graph.add('Transpose', [graph.add('Reshape', [value, graph.int64([0, 0, count, headSize])])], {
      attributes: { perm: { is: [0, 2, 1, 3] } },
    });
  const query = graph.add('Reshape', [split(site.query, heads), graph.int64([0, kvHeads, -1, headSize])]);
  const scores = graph.add('FusedMatMul', [query, split(site.key, kvHeads)], {
    domain: microsoft,
    attributes: { transB: { i: 1 }, alpha: { f: site.scale } },
  });
  const biased = graph.add('Add', [capScores(graph, scores, site.softcap), bias]);
  const weights = graph.add('Softmax', [biased], { attributes: { axis: { i: -1 } } });
  const mixed = graph.add('MatMul', [weights, split(site.value, kvHeads)]);
  const byHead = graph.add('Reshape', [mixed, graph.int64([0, heads, -1, headSize])]);
  const byToken = graph.add('Transpose', [byHead], { attributes: { perm: { is: [0, 2, 1, 3] } } });
  graph.add('Reshape', [byToken, graph.int64([0, 0, heads * headSize])], { outputs: [site.output] });
}

/** Adds {@link tokenLogprobs}. The head runs only at the positions that predict a target. */
function addTargetLogprobs(graph: Graph): void {
  const producers = graph.producers();
  const head = findHead(graph);
  const [hidden, weight] = head.inputs as [string, string];
  const outputs = head.outputs;
  graph.removeNodes(new Set([head]));
  const width = hiddenWidth(graph, producers.get(weight), weight);
  graph.add('Identity', [hidden], { outputs: [hiddenStates] });
  const rows = graph.add('Reshape', [hiddenStates, graph.int64([-1, width])]);
  const chosen = graph.add('Gather', [rows, 'target_positions']);
  // FusedMatMul reads the embedding as it lies; onnxruntime would fold a Transpose of it into a copy.
  const tied = transposedInitializer(graph, producers.get(weight));
  if (tied === undefined) graph.add('MatMul', [chosen, weight], { outputs });
  else graph.add('FusedMatMul', [chosen, tied], { domain: microsoft, attributes: { transB: { i: 1 } }, outputs });
  // What the file does to the logits behind the product treats each of them by itself, so it stays as it is.
  const logprobs = addTokenLogProbability(graph, 'logits', 'target_ids');
  graph.add('Identity', [logprobs], { outputs: [tokenLogprobs] });
}

function hiddenWidth(graph: Graph, producer: Node | undefined, weight: string): number {
  const tied = transposedInitializer(graph, producer);
  const width = tied === undefined ? graph.initializers.get(weight)?.dims[0] : graph.initializers.get(tied)?.dims[1];
  if (width === undefined)
    throw notTrainable(`the head's weight ${weight} is computed, and not a constant of the model`);
  return width;
}

function notTrainable(reason: string): HoneError {
  return new HoneError('MODEL_NOT_TRAINABLE', `${reason}; serve the model with --learner off`);
}
