/**
 * Runs an ONNX graph operator by operator with TF.js, so that TF.js's autodiff gives gradients: the oracle of
 * `src/autodiff`, which shares no code with it.
 *
 * Operators are those of lowered decoders (plain ai.onnx, RotaryEmbedding, SimplifiedLayerNormalization, FusedMatMul, and
 * Hone's composites). int64 becomes int32. An operator that is not known is refused by name.
 */

import * as tf from '@tensorflow/tfjs';
import type { Graph, Node } from '../../src/onnx/index.js';
import { arithmetic } from './tfjs-arithmetic.js';
import { decoder } from './tfjs-decoder.js';
import { shapes } from './tfjs-shapes.js';
import { constant, type Operator } from './tfjs-values.js';

// Keeps TF.js from advertising its native package.
tf.env().set('IS_TEST', true);

const operators = new Map<string, Operator>(Object.entries({ ...arithmetic, ...shapes, ...decoder }));

function findOperator(node: Node): Operator {
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const found = operators.get(key);
  if (!found) throw new Error(`the TF.js interpreter has no ${key} (node ${node.name})`);
  return found;
}

/** Values of `targets`, computed from the feeds; everything that the targets do not need is left out. */
function evaluate(graph: Graph, feeds: ReadonlyMap<string, tf.Tensor>, targets: readonly string[]): tf.Tensor[] {
  const view = graph.clone();
  view.outputs.clear();
  for (const target of targets) view.outputs.set(target, null);
  view.prune();
  const values = new Map<string, tf.Tensor>();
  for (const [name, tensor] of view.initializers) if (!feeds.has(name)) values.set(name, constant(tensor));
  for (const [name, tensor] of feeds) values.set(name, tensor);
  const read = (name: string): tf.Tensor => {
    const value = values.get(name);
    if (!value) throw new Error(`no value is fed for ${name}`);
    return value;
  };
  for (const node of view.nodes) {
    let outputs: tf.Tensor | tf.Tensor[];
    try {
      outputs = findOperator(node)(
        node,
        node.inputs.map((name) => (name === '' ? undefined : read(name))),
      );
    } catch (cause) {
      throw new Error(`${node.op} ${node.name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
    for (const [i, output] of (Array.isArray(outputs) ? outputs : [outputs]).entries()) {
      const name = node.outputs[i];
      if (name) values.set(name, output);
    }
  }
  return targets.map(read);
}

/** Runs the graph; returns each graph output by name. Feeds may replace initializers too. */
export function interpret(graph: Graph, feeds: ReadonlyMap<string, tf.Tensor>): Map<string, tf.Tensor> {
  const names = [...graph.outputs.keys()];
  const results = tf.tidy(() => evaluate(graph, feeds, names));
  return new Map(names.map((name, i) => [name, results[i] as tf.Tensor]));
}

/**
 * The gradient of a scalar value of the graph with respect to float inputs or initializers, by name.
 * @throws Error if the value does not depend on one of them
 */
export function gradientsOf(
  graph: Graph,
  feeds: ReadonlyMap<string, tf.Tensor>,
  lossName: string,
  wrt: readonly string[],
): Map<string, Float32Array> {
  const results = new Map<string, Float32Array>();
  tf.tidy(() => {
    const at = wrt.map((name) => {
      const fed = feeds.get(name);
      if (fed) return fed;
      const initializer = graph.initializers.get(name);
      if (!initializer) throw new Error(`${name} is neither fed nor an initializer`);
      return constant(initializer);
    });
    const loss = (...variables: tf.Tensor[]): tf.Scalar => {
      const bound = new Map(feeds);
      for (const [i, name] of wrt.entries()) bound.set(name, variables[i] as tf.Tensor);
      return tf.reshape(evaluate(graph, bound, [lossName])[0] as tf.Tensor, []);
    };
    const gradients = tf.grads(loss)(at);
    for (const [i, name] of wrt.entries()) {
      results.set(name, Float32Array.from((gradients[i] as tf.Tensor).dataSync()));
    }
  });
  return results;
}
