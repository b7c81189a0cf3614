/** What a gradient rule is given, what it returns, and the three declarations that an operator can have. */

import type { AddOptions, Graph, Node } from '../onnx/index.js';

/** One node on the way back from the loss. */
export interface RuleContext {
  readonly graph: Graph;
  readonly node: Node;
  /** Gradient of the loss with respect to each output; undefined where nothing flows. At least one is defined. */
  readonly outputGradients: readonly (string | undefined)[];
  /** Whether somebody needs the gradient of this input. */
  needs(input: number): boolean;
  /** Shape of a value of the forward graph. */
  shape(value: string): readonly (number | null)[];
  /** Shape of a value as an int64 tensor: a constant (with at most one -1) where possible, `Shape` at run time else. */
  shapeTensor(value: string): string;
  /** Sums a gradient of the first shape down to that of `value`, which was broadcast to it. */
  reduceTo(gradient: string, from: readonly (number | null)[], value: string): string;
}

/** Gradient with respect to each input, as names of values; undefined where none flows. */
export type Gradients = readonly (string | undefined)[];

/** What a rule covers of its operator. Whatever goes beyond it has no gradient, and is refused before training starts. */
export interface RuleLimits {
  /** Attributes that the rule takes into account, or that do not change the gradient. Default none. */
  readonly attributes?: readonly string[];
  /** How many inputs, from the first on, have a gradient. Default all. */
  readonly inputs?: number;
  /** How many outputs a gradient may come from. Default the first alone. */
  readonly outputs?: number;
  /** Why this node in particular is not covered; undefined if it is. It must not need shapes. */
  readonly refuses?: (node: Node, graph: Graph) => string | undefined;
}

export type GradientRule =
  /** The general case: gradients in the shapes of the inputs. */
  | { readonly kind: 'rule'; readonly apply: (context: RuleContext) => Gradients; readonly limits: RuleLimits }
  /** Elementwise with broadcasting: gradients in the shape of the output; the engine sums them down. */
  | { readonly kind: 'elementwise'; readonly apply: (context: RuleContext) => Gradients; readonly limits: RuleLimits }
  /** Constant almost everywhere, or made of integers: nothing flows back. */
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

/** The only output's gradient. */
export function outputGradient(context: RuleContext): string {
  return context.outputGradients[0] as string;
}

/** Input and output names that a rule reads. */
export function values(node: Node): { x: string; y: string; inputs: readonly string[] } {
  return { x: node.inputs[0] as string, y: node.outputs[0] as string, inputs: node.inputs };
}

/** Adds a node of ai.onnx; shorthand that keeps rules in one line per formula. */
export function emit(
  context: RuleContext,
  op: string,
  inputs: readonly string[],
  attributes?: AddOptions['attributes'],
): string {
  return context.graph.add(op, inputs, attributes === undefined ? {} : { attributes });
}
