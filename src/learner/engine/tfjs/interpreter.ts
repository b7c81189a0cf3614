/**
 * Runs an ONNX graph operator by operator with TF.js, so that TF.js's autodiff computes gradients. It shares no code
 * with `src/autodiff`: each is the other's oracle.
 *
 * It knows the operators of lowered decoders (plain ai.onnx, RotaryEmbedding, SimplifiedLayerNormalization,
 * FusedMatMul, and Hone's composites). int64 becomes int32. An unknown operator is refused by name before anything
 * runs.
 */

import { HoneError } from '../../../errors.js';
import { type Graph, isExternal, type Node, WeightReader } from '../../../onnx/index.js';
import { arithmetic } from './arithmetic.js';
import { constant } from './constants.js';
import { decoder } from './decoder.js';
import { products } from './products.js';
import { shapes } from './shapes.js';
import { type Operator, type Tensor, type TensorFlow, unsupported } from './values.js';

const operators = new Map<string, Operator>(Object.entries({ ...arithmetic, ...shapes, ...products, ...decoder }));

/** Nodes in order, each with the values that no later node reads. */
type Plan = readonly { readonly node: Node; readonly operator: Operator; readonly free: readonly string[] }[];

/**
 * A graph whose constants are TF.js tensors, ready to run.
 * @throws HoneError `OPERATOR_UNSUPPORTED`, `MODEL_INVALID`
 */
export async function createInterpreter(tf: TensorFlow, graph: Graph): Promise<Interpreter> {
  checkOperators(graph);
  const constants = new Map<string, Tensor>();
  const reader = new WeightReader(graph);
  try {
    for (const [name, tensor] of graph.initializers) {
      const { data } = tensor;
      const weight = isExternal(data) ? { ...tensor, data: await reader.bytes(tensor, 0, data.length) } : tensor;
      constants.set(name, constant(tf, weight));
    }
  } catch (error) {
    tf.dispose([...constants.values()]);
    throw error;
  } finally {
    await reader.close();
  }
  return new Interpreter(tf, graph, constants);
}

/** Needs no TF.js. @throws HoneError `OPERATOR_UNSUPPORTED` that names the first unknown operator */
export function checkOperators(graph: Graph): void {
  for (const node of graph.nodes) operatorOf(node);
}

function operatorOf(node: Node): Operator {
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  return operators.get(key) ?? unsupported(`operator ${key} (node ${node.name})`);
}

export class Interpreter {
  readonly #tf: TensorFlow;
  readonly #graph: Graph;
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #plans = new Map<string, Plan>();

  constructor(tf: TensorFlow, graph: Graph, constants: ReadonlyMap<string, Tensor>) {
    this.#tf = tf;
    this.#graph = graph;
    this.#constants = constants;
  }

  /**
   * Computes values of the graph from the feeds, and only the nodes that they need. A feed may replace a constant. The
   * caller disposes of the results.
   */
  run(feeds: ReadonlyMap<string, Tensor>, names: readonly string[]): Tensor[] {
    const plan = this.#planOf(names);
    return this.#tf.tidy(() => {
      const values = new Map([...this.#constants, ...feeds]);
      for (const { node, operator, free } of plan) {
        this.#compute(node, operator, values);
        // Free values before the scope ends: without gradients nothing else holds them, and autodiff keeps what it
        // needs.
        for (const name of free) {
          values.get(name)?.dispose();
          values.delete(name);
        }
      }
      return names.map((name) => this.#read(values, name));
    });
  }

  /**
   * A scalar of the graph, and its gradients with respect to feeds or constants. The caller disposes of the results.
   */
  gradients(
    feeds: ReadonlyMap<string, Tensor>,
    loss: string,
    wrt: readonly string[],
    /** Further values to compute in the same pass. */
    also: readonly string[] = [],
  ): { readonly loss: Tensor; readonly gradients: readonly Tensor[]; readonly also: readonly Tensor[] } {
    const tf = this.#tf;
    let kept: readonly Tensor[] = [];
    const forward = (...variables: Tensor[]): ReturnType<TensorFlow['scalar']> => {
      const bound = new Map(feeds);
      for (const [i, name] of wrt.entries()) bound.set(name, variables[i] as Tensor);
      const [value, ...rest] = this.run(bound, [loss, ...also]);
      kept = rest.map((tensor) => tf.keep(tensor));
      return tf.reshape(value as Tensor, []);
    };
    try {
      const values = new Map([...this.#constants, ...feeds]);
      const { value, grads } = tf.valueAndGrads(forward)(wrt.map((name) => this.#read(values, name)));
      return { loss: value, gradients: grads, also: kept };
    } catch (error) {
      tf.dispose([...kept]);
      throw error;
    }
  }

  /** Frees the constants. */
  dispose(): void {
    this.#tf.dispose([...this.#constants.values()]);
  }

  #compute(node: Node, operator: Operator, values: Map<string, Tensor>): void {
    const tf = this.#tf;
    const inputs = node.inputs.map((name) => (name === '' ? undefined : this.#read(values, name)));
    let outputs: Tensor[];
    try {
      outputs = tf.tidy(() => {
        const results = operator(tf, node, inputs);
        // Each value gets a tensor of its own, so that each can be disposed of alone.
        const seen = new Set(inputs);
        return ('shape' in results ? [results as Tensor] : [...results]).map((result) => {
          if (seen.has(result)) return tf.clone(result);
          seen.add(result);
          return result;
        });
      });
    } catch (cause) {
      if (cause instanceof HoneError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new HoneError('INTERNAL', `TF.js cannot compute ${node.op} ${node.name}: ${message}`, { cause });
    }
    for (const [i, output] of outputs.entries()) {
      const name = node.outputs[i];
      if (name) values.set(name, output);
    }
  }

  #read(values: ReadonlyMap<string, Tensor>, name: string): Tensor {
    const value = values.get(name);
    if (!value) throw new HoneError('INTERNAL', `no value is fed for ${name}`);
    return value;
  }

  #planOf(names: readonly string[]): Plan {
    const key = names.join('\n');
    const known = this.#plans.get(key);
    if (known) return known;
    const view = this.#graph.clone();
    view.outputs.clear();
    for (const name of names) view.outputs.set(name, null);
    view.prune();
    const lastReader = new Map<string, Node>();
    for (const node of view.nodes) {
      for (const name of node.outputs) lastReader.set(name, node);
      for (const name of node.inputs) if (lastReader.has(name)) lastReader.set(name, node);
    }
    for (const name of names) lastReader.delete(name);
    const free = new Map<Node, string[]>(view.nodes.map((node) => [node, []]));
    for (const [name, node] of lastReader) free.get(node)?.push(name);
    const plan = view.nodes.map((node) => ({ node, operator: operatorOf(node), free: free.get(node) ?? [] }));
    this.#plans.set(key, plan);
    return plan;
  }
}
