/**
 * Trains a decoder from random weights on summaries, with cross-entropy. The training graph is derived from the graph
 * that the package will hold; `src/autodiff` adds the gradients of all weights.
 */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { appendGradients, expandComposites } from '../../src/autodiff/index.js';
import {
  addCrossEntropy,
  type Parameters,
  packRows,
  type TrainingRow,
  tokenLogprobs,
  toTrainingGraph,
  trainingProbeSizes,
} from '../../src/learner/index.js';
import {
  createSession,
  elementCount,
  float32Tensor,
  type Graph,
  probeShapes,
  type Tensor as Weight,
} from '../../src/onnx/index.js';
import { type DecoderShape, decoderGraph, weightShapes } from './decoder.js';
import type { Random } from './world/index.js';

/**
 * Draws normal numbers: embeddings with deviation 0.05, matrices with 1/sqrt(fan-in), and matrices that write into the
 * residual stream with 1/sqrt(2 layers) of that. With GPT-2's 0.02, chosen for wider models, the decoder did not copy
 * from the post after 600 steps; with these values it does after 300.
 */
export function initializeWeights(shape: DecoderShape, random: Random): Parameters {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const parameters: Parameters = new Map();
  for (const [name, dims] of weightShapes(shape)) {
    const residual = name.endsWith('o_proj.weight') || name.endsWith('down_proj.weight');
    const fanIn = 1 / Math.sqrt(dims[0] as number);
    const deviation = name.includes('embed') ? 0.05 : fanIn / (residual ? Math.sqrt(2 * shape.layers) : 1);
    const data = Float32Array.from({ length: elementCount(dims) }, () =>
      name.includes('norm') ? 1 : deviation * normal(),
    );
    parameters.set(name, { dims, data });
  }
  return parameters;
}

/** Returns the parameters as initializers that share their memory. */
export function toWeights(parameters: Parameters): Map<string, Weight> {
  return new Map([...parameters].map(([name, { dims, data }]) => [name, float32Tensor(data, dims)]));
}

interface SupervisedStep {
  /** Mean cross-entropy per completion token, in nats. */
  readonly loss: number;
  readonly gradients: Map<string, Float32Array>;
}

export class SupervisedTrainer {
  readonly #forward: InferenceSession;
  readonly #backward: InferenceSession;
  readonly #gradients: ReadonlyMap<string, string>;

  private constructor(forward: InferenceSession, backward: InferenceSession, gradients: ReadonlyMap<string, string>) {
    this.#forward = forward;
    this.#backward = backward;
    this.#gradients = gradients;
  }

  static async create(shape: DecoderShape, parameters: Parameters, threads: number): Promise<SupervisedTrainer> {
    const graph = toTrainingGraph(decoderGraph(shape, toWeights(parameters)));
    for (const [name, { dims }] of parameters) {
      graph.initializers.delete(name);
      graph.inputs.set(name, { type: 'float32', dims });
    }
    const forward = withOutputs(graph, [tokenLogprobs]);
    addCrossEntropy(graph);
    const loss = withOutputs(graph, ['cross_entropy']);
    const gradients = appendGradients(
      loss,
      'cross_entropy',
      [...parameters.keys()],
      await probeShapes(expandComposites(loss), trainingProbeSizes),
    );
    const backward = withOutputs(loss, ['cross_entropy', ...gradients.values()]);
    const options = { threads, prepack: false };
    return new SupervisedTrainer(
      await createSession(expanded(forward), options),
      await createSession(expanded(backward), options),
      gradients,
    );
  }

  /** Computes loss and gradients of a batch. All completion tokens have the same weight. */
  async step(rows: readonly TrainingRow[], parameters: Parameters): Promise<SupervisedStep> {
    const { feeds, rowOfToken } = packRows(rows);
    const { row_of_token: _, ...inputs } = feeds;
    const weights = new Float32Array(rowOfToken.length).fill(1 / rowOfToken.length);
    const outputs = (await this.#backward.run({
      ...inputs,
      ...feed(parameters),
      token_weights: new Tensor('float32', weights, [weights.length]),
    })) as Record<string, Tensor>;
    const values = (name: string): Float32Array => (outputs[name] as Tensor).data as Float32Array;
    return {
      loss: values('cross_entropy')[0] as number,
      gradients: new Map([...this.#gradients].map(([name, output]) => [name, values(output)])),
    };
  }

  /** Computes the mean cross-entropy per completion token, in nats, without gradients. */
  async loss(rows: readonly TrainingRow[], parameters: Parameters): Promise<number> {
    const { feeds } = packRows(rows);
    const { row_of_token: _, ...inputs } = feeds;
    const outputs = await this.#forward.run({ ...inputs, ...feed(parameters) });
    const logprobs = (outputs[tokenLogprobs] as Tensor).data as Float32Array;
    return -logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length;
  }

  async close(): Promise<void> {
    await this.#forward.release();
    await this.#backward.release();
  }
}

/** Copies the part of the graph that computes these values. */
export function withOutputs(source: Graph, names: readonly string[]): Graph {
  const graph = source.clone();
  graph.outputs.clear();
  for (const name of names) graph.outputs.set(name, null);
  graph.prune();
  return graph;
}

/** Encodes the graph in plain ONNX for onnxruntime. */
export function expanded(graph: Graph): Graph {
  const plain = expandComposites(graph);
  plain.prune();
  return plain;
}

/** Returns the parameters as inputs of a graph that share their memory. */
export function feed(parameters: Parameters): Record<string, Tensor> {
  return Object.fromEntries([...parameters].map(([name, { dims, data }]) => [name, new Tensor('float32', data, dims)]));
}
