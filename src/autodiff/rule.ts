/** What a gradient rule gets and returns, and the three ways in which an operator can be declared. */

import type { AddOptions, Graph, Node } from '../onnx/index.js';

/** One node on the way back from the loss, as its rule sees it. */
export interface RuleContext {
  readonly graph: Graph;
  readonly node: Node;
  /** Gradient of the loss with respect to each output; undefined if none flows. At least one is defined. */
  readonly outputGradients: readonly (string | undefined)[];
  /** Whether the gradient of this input is needed. */
  needs(input: number): boolean;
  /** Shape of a value of the forward graph. */
  shape(value: string): readonly (number | null)[];
  /** Shape of a value as an int64 tensor: a constant (with at most one -1) if possible, else a `Shape` at run time. */
  shapeTensor(value: string): string;
  /** Sums a gradient of the shape `from` over the axes along which `value` was broadcast to that shape. */
  reduceTo(gradient: string, from: readonly (number | null)[], value: string): string;
}

/** The gradient with respect to each input, as names of values; undefined if none flows. */
export type Gradients = readonly (string | undefined)[];

/** The uses of its operator that a rule covers. Any other use is refused before training starts. */
export interface RuleLimits {
  /** Attributes that the rule reads, or that do not change the gradient. Default: none. */
  readonly attributes?: readonly string[];
  /** Number of inputs, from the first on, that have a gradient. Default: all. */
  readonly inputs?: number;
  /** Number of outputs, from the first on, that a gradient may come from. Default: 1. */
  readonly outputs?: number;
  /** The reason why this node is not covered; undefined if it is. It must not need shapes. */
  readonly refuses?: (node: Node, graph: Graph) => string | undefined;
}

export type GradientRule =
  /** The general case: gradients in the shapes of the inputs. */
  | { readonly kind: 'rule'; readonly apply: (context: RuleContext) => Gradients; readonly limits: RuleLimits }
  /** Elementwise with broadcasting: gradients in the shape of the output; the reverse pass sums them down. */
  | { readonly kind: 'elementwise'; readonly apply: (context: RuleContext) => Gradients; readonly limits: RuleLimits }
  /** The output is constant almost everywhere, or an integer: no gradient flows back. */
  | { readonly kind: 'no-gradient' };

export type RuleTable = Readonly<Record<string, GradientRule>>;

export const rule = (apply: (context: RuleContext) => Gradients, limits: RuleLimits = {}): GradientRule => ({
  kind: 'rule',
  apply,
  limits,
});
export const elementwise = (apply: (context: RuleContext) => Gradients, limits: RuleLimits = {}): GradientRule => ({
  kind: 'elementwise',
  apply,
  limits,
});
export const noGradient: GradientRule = { kind: 'no-gradient' };

/** The gradient of the only output. */
export function outputGradient(context: RuleContext): string {
  return context.outputGradients[0] as string;
}

/** Names of the first input and output, and of all inputs. */
export function values(node: Node): { x: string; y: string; inputs: readonly string[] } {
  return { x: node.inputs[0] as string, y: node.outputs[0] as string, inputs: node.inputs };
}

/** Adds a node of ai.onnx: a shorthand that lets a rule stand in one line per formula. */
export function emit(
  context: RuleContext,
  op: string,
  inputs: readonly string[],
  attributes?: AddOptions['attributes'],
): string {
  return context.graph.add(op, inputs, attributes === undefined ? {} : { attributes });
}
