/**
 * Trains a reward model by Bradley-Terry: P(y is preferred to y') = sigmoid(r(y) - r(y')), by maximum likelihood
 * (arXiv 2203.02155, equation 1). The term c (r(y) + r(y'))^2 fixes the constant that preferences leave free
 * (arXiv 2312.09244). `src/autodiff` adds the gradients of all weights. Completions of a prompt share its tokens.
 */

import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { appendGradients, expandComposites } from '../../../src/autodiff/index.js';
import { type Parameters, packRows, toTrainingGraph, trainingProbeSizes } from '../../../src/learner/index.js';
import { createSession, type Graph, probeShapes } from '../../../src/onnx/index.js';
import { type DecoderShape, decoderGraph } from '../decoder.js';
import { expanded, feed, toWeights, withOutputs } from '../supervised.js';
import { headWeight } from './classifier.js';

/** A prompt and a completion that ends in the end token, as the finished package reads them. */
export interface RatedRow {
  readonly promptTokens: readonly number[];
  readonly completionTokens: readonly number[];
}

/** A pair, by row numbers. */
export interface Preference {
  readonly better: number;
  readonly worse: number;
}

interface BradleyTerryStep {
  /** Mean of -ln P over the pairs plus the centring term, in nats. */
  readonly loss: number;
  readonly gradients: Map<string, Float32Array>;
}

const probeSizes = { ...trainingProbeSizes, M: [3, 5] } as const;

export class BradleyTerryTrainer {
  readonly #forward: InferenceSession;
  readonly #backward: InferenceSession;
  readonly #gradients: ReadonlyMap<string, string>;

  private constructor(forward: InferenceSession, backward: InferenceSession, gradients: ReadonlyMap<string, string>) {
    this.#forward = forward;
    this.#backward = backward;
    this.#gradients = gradients;
  }

  /** @param centring c, the weight of the centring term */
  static async create(
    shape: DecoderShape,
    parameters: Parameters,
    options: { readonly threads: number; readonly centring: number },
  ): Promise<BradleyTerryTrainer> {
    const graph = rewardGraph(shape, parameters);
    const forward = withOutputs(graph, ['rewards']);
    addBradleyTerry(graph, options.centring);
    const backward = withOutputs(graph, ['loss']);
    const gradients = appendGradients(
      backward,
      'loss',
      [...parameters.keys()],
      await probeShapes(expandComposites(backward), probeSizes),
    );
    const session = { threads: options.threads, prepack: false };
    return new BradleyTerryTrainer(
      await createSession(expanded(forward), session),
      await createSession(expanded(withOutputs(backward, ['loss', ...gradients.values()])), session),
      gradients,
    );
  }

  /** Computes loss and gradients over the pairs. All pairs have the same weight. */
  async step(
    rows: readonly RatedRow[],
    preferences: readonly Preference[],
    parameters: Parameters,
  ): Promise<BradleyTerryStep> {
    const outputs = (await this.#backward.run({
      ...inputs(rows),
      ...pairs(preferences, rows.length),
      ...feed(parameters),
    })) as Record<string, Tensor>;
    const values = (name: string): Float32Array => (outputs[name] as Tensor).data as Float32Array;
    return {
      loss: values('loss')[0] as number,
      gradients: new Map([...this.#gradients].map(([name, output]) => [name, values(output)])),
    };
  }

  /** Computes the rewards, in the order of the rows. */
  async rewards(rows: readonly RatedRow[], parameters: Parameters): Promise<Float32Array> {
    const outputs = await this.#forward.run({ ...inputs(rows), ...feed(parameters) });
    return (outputs.rewards as Tensor).data as Float32Array;
  }

  async close(): Promise<void> {
    await this.#forward.release();
    await this.#backward.release();
  }
}

/** Builds the training graph of the decoder, with `rewards` [N, 1] at `target_positions`. All weights are inputs. */
function rewardGraph(shape: DecoderShape, parameters: Parameters): Graph {
  const graph = toTrainingGraph(decoderGraph(shape, toWeights(parameters)));
  for (const [name, { dims }] of parameters) {
    graph.initializers.delete(name);
    graph.inputs.set(name, { type: 'float32', dims });
  }
  const chosen = graph.nodes.find(({ op, inputs }) => op === 'Gather' && inputs[1] === 'target_positions');
  graph.add('MatMul', [chosen?.outputs[0] as string, headWeight], { outputs: ['rewards'] });
  graph.inputs.delete('target_ids');
  return graph;
}

/** Adds `loss`. The inputs `winners` and `losers` [M, N] have a 1 in each row, at the member of the pair. */
function addBradleyTerry(graph: Graph, centring: number): void {
  const rewardOf = (side: string): string => {
    graph.inputs.set(side, { type: 'float32', dims: ['M', 'N'] });
    return graph.add('MatMul', [side, 'rewards']);
  };
  const [better, worse] = [rewardOf('winners'), rewardOf('losers')];
  const margin = graph.add('Sub', [better, worse]);
  // -ln sigmoid(m) = -m/2 + |m|/2 + ln(1 + exp(-|m|)). This form does not overflow, and its gradient at 0 is -1/2.
  const size = graph.add('Add', [graph.add('Relu', [margin]), graph.add('Relu', [graph.add('Neg', [margin])])]);
  const half = graph.add('Mul', [graph.add('Sub', [size, margin]), graph.float(0.5)]);
  const rest = graph.add('Log', [graph.add('Add', [graph.add('Exp', [graph.add('Neg', [size])]), graph.float(1)])]);
  const sum = graph.add('Add', [better, worse]);
  const tied = graph.add('Mul', [graph.add('Mul', [sum, sum]), graph.float(centring)]);
  const each = graph.add('Add', [graph.add('Add', [half, rest]), tied]);
  graph.add('ReduceMean', [each], { attributes: { keepdims: { i: 0 } }, outputs: ['loss'] });
}

/** Packs prompts with their completions. Each row has one target, at its last token. */
function inputs(rows: readonly RatedRow[]): Record<string, Tensor> {
  // A position is only a target if a token follows it, so one token is appended that nothing reads.
  const { feeds, rowOfToken } = packRows(
    rows.map(({ promptTokens, completionTokens }) => ({ promptTokens, completionTokens: [...completionTokens, 0] })),
  );
  const positions = (feeds.target_positions as Tensor).data as BigInt64Array;
  const last = new BigInt64Array(rows.length);
  for (const [token, row] of rowOfToken.entries()) last[row] = positions[token] as bigint;
  const { input_ids, position_ids, segment_ids } = feeds as Record<string, Tensor>;
  return {
    input_ids: input_ids as Tensor,
    position_ids: position_ids as Tensor,
    segment_ids: segment_ids as Tensor,
    target_positions: new Tensor('int64', last, [rows.length]),
  };
}

function pairs(preferences: readonly Preference[], rows: number): Record<string, Tensor> {
  const side = (rowOf: (preference: Preference) => number): Tensor => {
    const matrix = new Float32Array(preferences.length * rows);
    for (const [m, preference] of preferences.entries()) matrix[m * rows + rowOf(preference)] = 1;
    return new Tensor('float32', matrix, [preferences.length, rows]);
  };
  return { winners: side(({ better }) => better), losers: side(({ worse }) => worse) };
}
