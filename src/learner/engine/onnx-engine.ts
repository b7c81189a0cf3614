/**
 * The default training engine: `src/autodiff` derives the backward pass of the package's graph, onnxruntime runs both.
 */

import { join } from 'node:path';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { appendGradients, expandComposites } from '../../autodiff/index.js';
import { elementCount, type Graph, isExternal, probeShapes } from '../../onnx/index.js';
import { decodeQuantizedProducts, findTrainableLinears, readDecoder } from '../../package/index.js';
import type { AdapterTarget } from '../../versions/index.js';
import type { LinearForm } from '../linear-form.js';
import type { Differentiated, Parameters, TrainingEngine, TrainingRow } from '../types.js';
import { adapt, matricesOf } from './adapted-graph.js';
import { openOnProvider } from './device.js';
import { addLinearForm, addRowLogprobs, linearFormFeeds, rowLogprobs, surrogate } from './losses.js';
import { adapterBytesOf, type BoundedEngine, type EngineMemory, keepToBudget } from './memory-budget.js';
import type { Provider } from './names.js';
import { type PackedRows, type PackOptions, packRows } from './packing.js';
import { createPassMemory } from './pass-memory.js';
import { poolPrompt } from './prompt-features.js';
import { hiddenStates, trainingProbeSizes } from './training-graph.js';

interface OnnxEngineOptions {
  /** The package's folder; its `onnx/model.onnx` is differentiated. */
  readonly packageDirectory: string;
  /** LoRA rank r. */
  readonly rank: number;
  /** lora_alpha / r. */
  readonly scale: number;
  /** Intra-op threads. */
  readonly threads: number;
  /** How a completion's token log-probabilities become one number, in h and in the gradient. Default `sum`. */
  readonly logProbability?: 'sum' | 'mean';
  /** The execution provider that runs the graphs. Default cpu. */
  readonly provider?: Provider;
}

/**
 * Reads the package's model, attaches adapters to every linear layer and derives the backward pass.
 * @throws HoneError `MODEL_INVALID`, `OPERATOR_UNSUPPORTED`, `OPERATOR_NOT_DIFFERENTIABLE`, `DEVICE_UNAVAILABLE`
 */
export async function createOnnxEngine(options: OnnxEngineOptions): Promise<OnnxEngine> {
  const source = await readDecoder(join(options.packageDirectory, 'onnx', 'model.onnx'));
  await using _decoded = await decodeQuantizedProducts(source);
  const { forward, backward, gradients, targets } = await deriveGraphs(source, options);
  const { provider = 'cpu', threads, logProbability = 'sum' } = options;
  const forwardSession = await openOnProvider(forward, provider, threads);
  const backwardSession = await openOnProvider(backward, provider, threads);
  const packing = { maxLength: longestSequence(source), logProbability };
  return new OnnxEngine(forwardSession, backwardSession, gradients, targets, packing);
}

/**
 * The engine within a memory budget.
 * @param memoryBytes largest memory of the process, mapped weights counted once; null: see `default-memory.ts`
 * @throws HoneError as {@link createOnnxEngine}; `INVALID_OPTIONS` if the budget leaves nothing for a batch
 */
export async function createBoundedOnnxEngine(
  options: OnnxEngineOptions,
  memoryBytes: number | null,
): Promise<BoundedEngine> {
  const engine = await createOnnxEngine(options);
  try {
    return keepToBudget(engine, await readMemory(options), memoryBytes, adapterBytesOf(engine, options.rank));
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** The memory that the engine's passes take. Probing a large model takes some seconds. */
async function readMemory(options: OnnxEngineOptions): Promise<EngineMemory> {
  const source = await readDecoder(join(options.packageDirectory, 'onnx', 'model.onnx'));
  await using _decoded = await decodeQuantizedProducts(source);
  const { forward, backward } = await deriveGraphs(source, options);
  let mappedBytes = 0;
  for (const { data, dims } of forward.initializers.values())
    if (isExternal(data)) mappedBytes += 4 * elementCount(dims);
  return {
    forward: await createPassMemory(forward),
    backward: await createPassMemory(backward),
    mappedBytes,
    maxLength: longestSequence(source),
  };
}

/**
 * The longest sequence in tokens: the decoder's table of rotary positions bounds it, however positions are numbered.
 */
export function longestSequence(graph: Graph): number {
  const lengths = graph.nodes
    .filter(({ op }) => op === 'RotaryEmbedding')
    .map(({ inputs }) => graph.initializers.get(inputs[2] ?? '')?.dims[0] ?? Number.POSITIVE_INFINITY);
  return Math.min(Number.POSITIVE_INFINITY, ...lengths);
}

/**
 * The two graphs of the engine, ready to run: `forward` gives {@link rowLogprobs} and {@link hiddenStates}; `backward`
 * gives {@link rowLogprobs} and the gradient of the linear form with respect to every adapter matrix.
 */
export async function deriveGraphs(
  source: Graph,
  { rank, scale }: Pick<OnnxEngineOptions, 'rank' | 'scale'>,
): Promise<{ forward: Graph; backward: Graph; gradients: Map<string, string>; targets: readonly AdapterTarget[] }> {
  const linears = findTrainableLinears(source);
  const adapted = adapt(source, linears, { rank, scale });
  const wrt = matricesOf(linears);

  const forward = adapted.clone();
  addRowLogprobs(forward);
  setOutputs(forward, [rowLogprobs, hiddenStates]);

  const backward = adapted;
  addLinearForm(backward);
  setOutputs(backward, [surrogate, rowLogprobs]);
  const shapes = await probeShapes(expandComposites(backward), trainingProbeSizes);
  const gradients = appendGradients(backward, surrogate, wrt, shapes);
  setOutputs(backward, [rowLogprobs, ...gradients.values()]);
  return {
    forward: finished(forward),
    backward: finished(backward),
    gradients,
    targets: linears.map(({ module, inFeatures, outFeatures }) => ({ module, inFeatures, outFeatures })),
  };
}

function setOutputs(graph: Graph, names: readonly string[]): void {
  graph.outputs.clear();
  for (const name of names) graph.outputs.set(name, null);
  graph.prune();
}

function finished(graph: Graph): Graph {
  const expanded = expandComposites(graph);
  expanded.prune();
  return expanded;
}

export class OnnxEngine implements TrainingEngine {
  readonly name = 'onnx';
  /** The linear layers that adapters are attached to. */
  readonly targets: readonly AdapterTarget[];
  readonly #forward: InferenceSession;
  readonly #backward: InferenceSession;
  readonly #gradients: ReadonlyMap<string, string>;
  readonly #packing: PackOptions;
  #closed = false;

  constructor(
    forward: InferenceSession,
    backward: InferenceSession,
    gradients: ReadonlyMap<string, string>,
    targets: readonly AdapterTarget[],
    packing: PackOptions = {},
  ) {
    this.#packing = packing;
    this.#forward = forward;
    this.#backward = backward;
    this.#gradients = gradients;
    this.targets = targets;
  }

  async logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array> {
    const outputs = await this.#forward.run({ ...this.#pack(rows), ...feedParameters(parameters) }, [rowLogprobs]);
    return values(outputs, rowLogprobs);
  }

  async promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]> {
    const adapter = feedParameters(parameters);
    const features: Float32Array[] = [];
    // One pass per prompt, so that its features do not depend on the other prompts, not even in the last bit.
    for (const promptTokens of prompts) {
      const feeds = this.#pack([{ promptTokens, completionTokens: [0] }]);
      const outputs = await this.#forward.run({ ...feeds, ...adapter }, [hiddenStates]);
      const { data, dims } = outputs[hiddenStates] as Tensor;
      features.push(poolPrompt(data as Float32Array, promptTokens.length, dims[2] ?? 0));
    }
    return features;
  }

  async differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated> {
    const feeds = { ...this.#pack(rows), ...feedParameters(parameters), ...linearFormFeeds(form) };
    const outputs = await this.#backward.run(feeds);
    return {
      logprobs: values(outputs, rowLogprobs),
      gradients: new Map([...this.#gradients].map(([parameter, output]) => [parameter, values(outputs, output)])),
    };
  }

  #pack(rows: readonly TrainingRow[]): PackedRows['feeds'] {
    return packRows(rows, this.#packing).feeds;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#forward.release();
    await this.#backward.release();
  }
}

function values(outputs: InferenceSession.ReturnType, name: string): Float32Array {
  return (outputs[name] as Tensor).data as Float32Array;
}

function feedParameters(parameters: Parameters): Record<string, Tensor> {
  return Object.fromEntries([...parameters].map(([name, { dims, data }]) => [name, new Tensor('float32', data, dims)]));
}
