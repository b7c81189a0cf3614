/** What is known of a value before anything runs: whether it belongs to tokens, and in which shape. */

import type { HoneError } from '../../errors.js';
import { type Graph, int64Values, isExternal, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { type Dim, inBrackets, type Target } from './dims.js';
import { refuseNode } from './form.js';

export type Value =
  /** Elements that belong to one token each, along the dimensions that hold B and S. */
  | {
      readonly kind: 'tokens';
      readonly dims: readonly Dim[];
      /** Whether it depends on which tokens there are, and not on their positions alone. */
      readonly hidden: boolean;
    }
  /** The same for every input. `dims` is undefined if onnxruntime would have to compute the shape. */
  | { readonly kind: 'constant'; readonly dims: readonly number[] | undefined }
  /** Entries of a shape. */
  | { readonly kind: 'sizes'; readonly sizes: readonly Target[]; readonly scalar: boolean }
  /** Computed from the attention mask, the cache, or sizes in a way that is not followed. */
  | { readonly kind: 'derived' }
  /** Keys or values. */
  | { readonly kind: 'cache' };

export type TokenValue = Extract<Value, { kind: 'tokens' }>;

const onlyTokenwise =
  'Hone needs every operator but GroupQueryAttention to work on one token at a time, so export the model in this form, ' +
  'or serve another model';

/** A node on the way of the tokens, with what is known of its inputs. Every accessor throws `OPERATOR_UNSUPPORTED`. */
export class FlowSite {
  readonly node: Node;
  /** Size of a head, as the cache has it. */
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

  /** Shape of a constant input. */
  constant(index: number): readonly number[] {
    const value = this.#inputs[index];
    if (value?.kind === 'constant' && value.dims !== undefined) return value.dims;
    throw this.refuse(`input ${index} (${this.node.inputs[index] ?? ''}) is not a constant of the model`);
  }

  /** Values of an int64 input that is constant. */
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

  /** An axis as a number that is not negative. */
  axis(axis: number, rank: number): number {
    const normal = axis < 0 ? axis + rank : axis;
    if (normal >= 0 && normal < rank) return normal;
    throw this.refuse(`the axis ${axis} does not exist in a value of ${rank} dimensions`);
  }

  /** The result of a value that keeps the tokens apart. */
  result(dims: readonly Dim[]): TokenValue {
    const hidden = this.#inputs.some((value) => value?.kind === 'tokens' && value.hidden);
    return { kind: 'tokens', dims, hidden };
  }

  /** @param instead what to do about it, if the default does not help */
  refuse(what: string, instead = onlyTokenwise): HoneError {
    return refuseNode(this.node, what, instead);
  }

  /** The refusal of shapes that do not fit, or of an operator that lets tokens see each other. */
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

/** Reads constant integers: an initializer, or a Constant in any of ONNX's ways to write one. */
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
