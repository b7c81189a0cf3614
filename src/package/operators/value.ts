/** What is known of a value in the graph without running it: whether it belongs to tokens, and its shape. */

import type { HoneError } from '../../errors.js';
import { type Graph, int64Values, isExternal, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { type Dim, inBrackets, type Target } from './dims.js';
import { refuseNode } from './form.js';

export type Value =
  /** Each element belongs to one token. The dimensions that contain B and S run over the tokens. */
  | {
      readonly kind: 'tokens';
      readonly dims: readonly Dim[];
      /** Whether the value depends on the token ids; otherwise it depends on positions only. */
      readonly dependsOnIds: boolean;
    }
  /** The value is the same for every input. `dims` is undefined if the shape is not known without running the graph. */
  | { readonly kind: 'constant'; readonly dims: readonly number[] | undefined }
  /** Entries of a shape. */
  | { readonly kind: 'sizes'; readonly sizes: readonly Target[]; readonly scalar: boolean }
  /** The value is computed from the attention mask, the cache or sizes, and is not followed further. */
  | { readonly kind: 'derived' }
  /** The value is a cache of keys or values. */
  | { readonly kind: 'cache' };

export type TokenValue = Extract<Value, { kind: 'tokens' }>;

const onlyTokenwise =
  'Hone needs every operator but GroupQueryAttention to work on one token at a time, so export the model in this form, ' +
  'or serve another model';

/**
 * A node that computes with tokens, and what is known of its inputs. Every accessor may throw `OPERATOR_UNSUPPORTED`.
 */
export class FlowSite {
  readonly node: Node;
  /** Size of a head in the cache. */
  readonly headSize: number;
  readonly #inputs: readonly (Value | undefined)[];
  readonly #constantInts: (name: string) => number[] | undefined;

  constructor(
    node: Node,
    inputs: readonly (Value | undefined)[],
    headSize: number,
    constantInts: (name: string) => number[] | undefined,
  ) {
    this.node = node;
    this.headSize = headSize;
    this.#inputs = inputs;
    this.#constantInts = constantInts;
  }

  get count(): number {
    return this.#inputs.length;
  }

  input(index: number): Value | undefined {
    return this.#inputs[index];
  }

  tokens(index: number): TokenValue {
    const value = this.#inputs[index];
    if (value?.kind === 'tokens') return value;
    throw this.refuse(`input ${index} (${this.node.inputs[index] ?? ''}) does not depend on the tokens`);
  }

  /** Returns the shape of a constant input. */
  constant(index: number): readonly number[] {
    const value = this.#inputs[index];
    if (value?.kind === 'constant' && value.dims !== undefined) return value.dims;
    throw this.refuse(`input ${index} (${this.node.inputs[index] ?? ''}) is not a constant of the model`);
  }

  /** Returns the values of a constant int64 input. */
  ints(index: number): number[] {
    const values = this.#constantInts(this.node.inputs[index] ?? '');
    if (values !== undefined) return values;
    throw this.refuse(`input ${index} (${this.node.inputs[index] ?? ''}) is not a list of constant integers`);
  }

  given(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== '';
  }

  number(attribute: string, fallback: number): number {
    return numberAttribute(this.node, attribute, fallback);
  }

  /** Returns an axis counted from the front; a negative one counts from the end. */
  axis(axis: number, rank: number): number {
    const normal = axis < 0 ? axis + rank : axis;
    if (normal >= 0 && normal < rank) return normal;
    throw this.refuse(`the axis ${axis} does not exist in a value of ${rank} dimensions`);
  }

  /** Returns an output value in which each element still belongs to one token. */
  result(dims: readonly Dim[]): TokenValue {
    const dependsOnIds = this.#inputs.some((value) => value?.kind === 'tokens' && value.dependsOnIds);
    return { kind: 'tokens', dims, dependsOnIds };
  }

  /** @param instead the remedy, if it is not the default one */
  refuse(what: string, instead = onlyTokenwise): HoneError {
    return refuseNode(this.node, what, instead);
  }

  /** Returns the error about shapes that do not fit or that let tokens see each other. */
  refuseShapes(): HoneError {
    const shapes = this.#inputs.flatMap((value) => {
      if (value?.kind === 'tokens') return [inBrackets(value.dims)];
      return value?.kind === 'constant' && value.dims !== undefined ? [`[${value.dims.join(', ')}]`] : [];
    });
    return this.refuse(
      `it combines different tokens (of B rows of S), or its shapes do not fit: ${shapes.join(' and ')}`,
    );
  }
}

/** Reads constant integers from an initializer, or from a Constant in any of its forms. */
export function constantIntsOf(graph: Graph, producers: ReadonlyMap<string, Node>, name: string): number[] | undefined {
  const tensor = graph.initializers.get(name);
  if (tensor !== undefined) return intsIn(tensor);
  const node = producers.get(name);
  if (node?.op !== 'Constant') return undefined;
  const { value, value_int: one, value_ints: many } = node.attributes;
  if (value !== undefined && 't' in value) return intsIn(value.t);
  if (one !== undefined && 'i' in one) return [one.i];
  return many !== undefined && 'is' in many ? [...many.is] : undefined;
}

function intsIn(tensor: Tensor): number[] | undefined {
  return tensor.type === 'int64' && !isExternal(tensor.data) ? int64Values(tensor) : undefined;
}
