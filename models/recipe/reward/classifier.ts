/**
 * Writes a decoder with a scalar head as an ONNX file with the interface of an Optimum text-classification export.
 *
 * `logits = h W`, as in `LlamaForSequenceClassification`: h is the decoder's last hidden state, after the last norm, at
 * the last token that is not padding. Padding is on the right, so causal attention hides it from all other tokens.
 *
 * Inputs: input_ids, attention_mask [B, T] (1, then 0 for padding). Output: logits [B, 1].
 */

import { type Graph, int64Tensor, type Tensor } from '../../../src/onnx/index.js';
import { type DecoderShape, decoderGraph } from '../decoder.js';

/** The head's weight [D, 1], named as in the Hugging Face checkpoint. */
export const headWeight = 'score.weight';

/** Builds the graph with the given weights: those of the decoder, and the head's [D, 1]. */
export function classifierGraph(shape: DecoderShape, weights: ReadonlyMap<string, Tensor>): Graph {
  const graph = decoderGraph(shape, weights);
  graph.name = 'classifier';
  dropCache(graph);
  const dims = ['batch_size', 'sequence_length'];
  graph.inputs.clear();
  graph.inputs.set('input_ids', { type: 'int64', dims });
  graph.inputs.set('attention_mask', { type: 'int64', dims });
  // All rows start at position 0, so there is one list of positions.
  graph.initializers.set('position_ids', int64Tensor([0]));
  const head = graph.nodes.find(({ outputs }) => outputs[0] === 'logits');
  const hidden = head?.inputs[0] as string;
  graph.nodes = graph.nodes.filter((node) => node !== head);
  graph.initializers.set(headWeight, weights.get(headWeight) as Tensor);
  const byToken = graph.add('Squeeze', [graph.add('MatMul', [hidden, headWeight]), graph.int64([2])]);
  const lengths = graph.add('ReduceSum', ['attention_mask', graph.int64([1])], { attributes: { keepdims: { i: 1 } } });
  const last = graph.add('Sub', [lengths, graph.int64(1)]);
  graph.add('GatherElements', [byToken, last], { attributes: { axis: { i: 1 } }, outputs: ['logits'] });
  graph.outputs.clear();
  graph.outputs.set('logits', { type: 'float32', dims: ['batch_size', 1] });
  graph.prune();
  return graph;
}

/** Removes the cache: attention only covers the tokens of the input. */
function dropCache(graph: Graph): void {
  graph.nodes = graph.nodes.map((node) =>
    node.op === 'GroupQueryAttention'
      ? {
          ...node,
          inputs: node.inputs.map((input) => (input.startsWith('past_key_values.') ? '' : input)),
        }
      : node,
  );
}
