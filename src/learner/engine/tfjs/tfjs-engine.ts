/**
 * The second training engine: TF.js runs and differentiates the same lowered forward graph.
 *
 * It serves devices that TensorFlow supports and onnxruntime-node does not, and checks the onnx engine by code that
 * shares nothing with `src/autodiff`. It is slower on a CPU: docs/tfjs.md has the figures.
 */

import { join } from 'node:path';
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { expandComposites } from '../../../autodiff/index.js';
import type { Graph } from '../../../onnx/index.js';
import {
  attachAdapters,
  decodeQuantizedProducts,
  findLinears,
  findTrainableLinears,
  type LinearSite,
  readDecoder,
  withUndecodedWeights,
} from '../../../package/index.js';
import type { AdapterTarget } from '../../../versions/index.js';
import type { LinearForm } from '../../linear-form.js';
import type { Differentiated, Parameters, TrainingEngine, TrainingRow } from '../../types.js';
import { addLinearForm, linearFormFeeds, rowLogprobs, surrogate } from '../losses.js';
import { adapterBytesOf, type BoundedEngine, type EngineMemory, keepToBudget } from '../memory-budget.js';
import { longestSequence } from '../onnx-engine.js';
import { type PackOptions, packRows } from '../packing.js';
import { createPassMemory } from '../pass-memory.js';
import { poolPrompt } from '../prompt-features.js';
import { hiddenStates, toTrainingGraph } from '../training-graph.js';
import { type OpenedTfjs, openTfjs, type TfjsBackend, type TfjsBackendOptions } from './backend.js';
import { checkOperators, createInterpreter, type Interpreter } from './interpreter.js';
import type { Tensor, TensorFlow } from './values.js';

interface TfjsEngineOptions extends TfjsBackendOptions {
  /** The package's folder; its `onnx/model.onnx` is differentiated. */
  readonly packageDirectory: string;
  /** LoRA rank r. */
  readonly rank: number;
  /** lora_alpha / r. */
  readonly scale: number;
  /** How a completion's token log-probabilities become one number, in h and in the gradient. Default `sum`. */
  readonly logProbability?: 'sum' | 'mean';
}

/**
 * Reads the package's model, attaches adapters to every linear layer and hands the weights to TF.js.
 * @throws HoneError `ENGINE_UNAVAILABLE` without TF.js, `MODEL_INVALID`, `OPERATOR_UNSUPPORTED`
 */
export async function createTfjsEngine(options: TfjsEngineOptions): Promise<TfjsEngine> {
  const opened = await openTfjs(options);
  const source = await readDecoder(join(options.packageDirectory, 'onnx', 'model.onnx'));
  const { logProbability = 'sum' } = options;
  const packing = { maxLength: longestSequence(source), logProbability };
  await using _decoded = await decodeQuantizedProducts(source);
  const linears = findTrainableLinears(source);
  const graph = deriveGraph(source, linears, options);
  const interpreter = await createInterpreter(opened.tf, graph);
  const targets = linears.map(({ module, inFeatures, outFeatures }) => ({ module, inFeatures, outFeatures }));
  return new TfjsEngine(opened, interpreter, targets, packing);
}

/**
 * The engine within a memory budget. It is closed if that fails.
 * @param memoryBytes largest memory of the process; null: see `default-memory.ts`
 * @throws HoneError `INVALID_OPTIONS` if the budget leaves nothing for a batch
 */
export async function keepTfjsToBudget(
  engine: TfjsEngine,
  options: TfjsEngineOptions,
  memoryBytes: number | null,
): Promise<BoundedEngine> {
  try {
    return keepToBudget(engine, await readMemory(options), memoryBytes, adapterBytesOf(engine, options.rank));
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** What JavaScript's heap grows by once TF.js computes: measured, whatever the batch. */
const heapBytes = 192 * 1024 * 1024;

/** The memory that the engine's passes take: TF.js keeps every value of a pass with gradients until its end. */
async function readMemory(options: TfjsEngineOptions): Promise<EngineMemory> {
  const source = await readDecoder(join(options.packageDirectory, 'onnx', 'model.onnx'));
  await using _decoded = await decodeQuantizedProducts(source);
  const graph = expandComposites(deriveGraph(source, findTrainableLinears(source), options));
  graph.prune();
  const values = await createPassMemory(graph, { everyValueStays: true });
  // A pass has a gradient for each of its values, and none of them is freed before the end.
  return {
    forward: values,
    backward: (shape) => 2 * values(shape),
    mappedBytes: 0,
    laterBytes: heapBytes,
    maxLength: longestSequence(source),
  };
}

/**
 * Checks from the graph alone, without TF.js, that {@link createTfjsEngine} would find every operator.
 * @param source the package's graph, quantised products included
 * @throws HoneError `MODEL_NOT_TRAINABLE`, `OPERATOR_UNSUPPORTED`
 */
export function checkInterpretable(source: Graph): void {
  // Search the package's own graph, so that an error names weights as the file does.
  const trained = new Set(findTrainableLinears(source).map(({ module }) => module));
  const plain = withUndecodedWeights(source);
  const linears = findLinears(plain).filter(({ module }) => trained.has(module));
  checkOperators(deriveGraph(plain, linears, { rank: 1, scale: 1 }));
}

function deriveGraph(
  source: Graph,
  linears: readonly LinearSite[],
  { rank, scale }: Pick<TfjsEngineOptions, 'rank' | 'scale'>,
): Graph {
  const graph = toTrainingGraph(source);
  attachAdapters(graph, linears, rank, scale);
  addLinearForm(graph);
  graph.outputs.clear();
  for (const name of [surrogate, rowLogprobs, hiddenStates]) graph.outputs.set(name, null);
  graph.prune();
  return graph;
}

export class TfjsEngine implements TrainingEngine {
  readonly name = 'tfjs';
  readonly backend: TfjsBackend;
  /** The linear layers that adapters are attached to. */
  readonly targets: readonly AdapterTarget[];
  readonly #tf: TensorFlow;
  readonly #interpreter: Interpreter;
  readonly #packing: PackOptions;
  #closed = false;

  constructor(
    { tf, backend }: OpenedTfjs,
    interpreter: Interpreter,
    targets: readonly AdapterTarget[],
    packing: PackOptions,
  ) {
    this.#tf = tf;
    this.backend = backend;
    this.#interpreter = interpreter;
    this.targets = targets;
    this.#packing = packing;
  }

  async logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    return this.#scoped(() => {
      const [logprobs] = this.#interpreter.run(this.#feeds(rows, parameters), [rowLogprobs]);
      return floats(logprobs);
    });
  }

  async differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated> {
    const tf = this.#tf;
    const names = [...parameters.keys()];
    return this.#scoped(() => {
      const feeds = this.#feeds(rows, parameters);
      for (const [name, tensor] of Object.entries(linearFormFeeds(form))) feeds.set(name, fromOrt(tf, tensor));
      const pass = this.#interpreter.gradients(feeds, surrogate, names, [rowLogprobs]);
      const logprobs = floats(pass.also[0]);
      tf.dispose([...pass.also]);
      return { logprobs, gradients: new Map(names.map((name, i) => [name, floats(pass.gradients[i])])) };
    });
  }

  async promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]> {
    // One pass per prompt, so that its features do not depend on the other prompts, not even in the last bit.
    return prompts.map((promptTokens) =>
      this.#scoped(() => {
        const feeds = this.#feeds([{ promptTokens, completionTokens: [0] }], parameters);
        const [states] = this.#interpreter.run(feeds, [hiddenStates]);
        return poolPrompt(floats(states), promptTokens.length, states?.shape.at(-1) ?? 0);
      }),
    );
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#interpreter.dispose();
  }

  /** Disposes of every tensor that `work` creates, also if it throws. */
  #scoped<T>(work: () => T): T {
    const engine = this.#tf.engine();
    engine.startScope('hone');
    try {
      return work();
    } finally {
      engine.endScope();
    }
  }

  #feeds(rows: readonly TrainingRow[], parameters: Parameters): Map<string, Tensor> {
    const tf = this.#tf;
    const packed = packRows(rows, this.#packing).feeds;
    const feeds = new Map(Object.entries(packed).map(([name, tensor]) => [name, fromOrt(tf, tensor)]));
    // Copy the parameters: TF.js may read its tensors later, and the optimizer writes into the parameters.
    for (const [name, { dims, data }] of parameters) feeds.set(name, tf.tensor(data.slice(), [...dims], 'float32'));
    return feeds;
  }
}

function fromOrt(tf: TensorFlow, { data, dims }: OrtTensor): Tensor {
  return data instanceof BigInt64Array
    ? tf.tensor(Int32Array.from(data, Number), [...dims], 'int32')
    : tf.tensor(data as Float32Array, [...dims], 'float32');
}

/** A copy of the values, because TF.js may reuse the array that it returns. */
function floats(tensor: Tensor | undefined): Float32Array {
  return Float32Array.from((tensor as Tensor).dataSync());
}
