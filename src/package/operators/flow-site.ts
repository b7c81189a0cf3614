/**
 * A flow returns the output values of an operator from its input values, with their shapes. There is one per kind of
 * operator (`*-flows.ts`). A flow refuses an operator that lets one token see another, because tokens may meet in
 * attention only: prompts are computed in pieces, rows of different lengths share a step, and the learner packs several
 * completions into one row.
 */

import type { HoneError } from '../../errors.js';
import { type Node, numberAttribute } from '../../onnx/index.js';
import { type Dim, dimOf, hasTokens, inBrackets, sameDim } from './dims.js';
import { refuseNode } from './form.js';
import type { TokenValue, Value } from './value.js';

/** Returns the values of a node's first outputs. Further outputs may not be read. Throws `OPERATOR_UNSUPPORTED`. */
export type Flow = (site: FlowSite) => readonly Value[];

const exportTokenwise =
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

  /** Checks that an axis lies within a token. @returns the axis counted from the front */
  withinToken(dims: readonly Dim[], axis: number): number {
    const normalAxis = this.axis(axis, dims.length);
    if (hasTokens(dims[normalAxis] as Dim))
      throw this.refuse(`it works along axis ${normalAxis}, which runs over tokens`);
    return normalAxis;
  }

  /** Checks that an input is a constant vector of the size of the last axis. */
  checkVector(index: number, lastAxis: Dim): void {
    const constant = this.constant(index);
    if (constant.length === 1 && sameDim(dimOf(constant[0] as number), lastAxis)) return;
    throw this.refuse(`input ${index} is [${constant.join(', ')}], not a vector of the size of the last axis`);
  }

  /** Returns an output value in which each element still belongs to one token. */
  result(dims: readonly Dim[]): TokenValue {
    const dependsOnIds = this.#inputs.some((value) => value?.kind === 'tokens' && value.dependsOnIds);
    return { kind: 'tokens', dims, dependsOnIds };
  }

  /** @param remedy what the user can do, if the default remedy does not help */
  refuse(what: string, remedy = exportTokenwise): HoneError {
    return refuseNode(this.node, what, remedy);
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
