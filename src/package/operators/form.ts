/**
 * The form of an operator lists the inputs, outputs, attributes and attribute values that Hone understands.
 *
 * Hone rewrites some operators and differentiates others. An unknown input or attribute would be dropped, and the model
 * would compute something else without an error. Therefore a form is complete, and a node with anything else is
 * refused.
 */

import { HoneError } from '../../errors.js';
import type { Attribute, Node } from '../../onnx/index.js';

/** The reason for refusing a feature of an operator, and what the user can do. */
export interface Refusal {
  /** The feature's effect, as the object of "means". */
  readonly means: string;
  /** An imperative without a full stop. */
  readonly remedy: string;
}

/** An attribute: its kind in ONNX and the values that Hone understands (all values if the list is absent). */
interface AttributeForm {
  readonly kind: 'i' | 'f' | 's' | 'is' | 't' | 'constant';
  readonly values?: readonly (number | string)[];
}

export interface OperatorForm {
  /** Inputs by position; `null` is one that Hone does not understand. A final `'...'` allows any number of inputs. */
  readonly inputs: readonly (string | null)[];
  /** Outputs by position; `null` is one that nothing may read. A final `'...'` allows any number of outputs. */
  readonly outputs: readonly (string | null)[];
  readonly attributes: Readonly<Record<string, AttributeForm>>;
  /** Reasons to refuse, by the name of an attribute or by an input such as `input 10`. */
  readonly refusals?: Readonly<Record<string, Refusal>>;
}

export const int = (...values: number[]): AttributeForm =>
  values.length === 0 ? { kind: 'i' } : { kind: 'i', values };
export const float = (...values: number[]): AttributeForm =>
  values.length === 0 ? { kind: 'f' } : { kind: 'f', values };
export const text = (...values: string[]): AttributeForm => ({ kind: 's', values });
export const ints: AttributeForm = { kind: 'is' };

/** Returns an `OPERATOR_UNSUPPORTED` error that names the node, the problem and the remedy. */
export function refuseNode(node: Node, what: string, remedy: string): HoneError {
  return new HoneError('OPERATOR_UNSUPPORTED', `${describeNode(node)}: ${what}; ${remedy}`);
}

export function describeNode({ op, domain, name }: Node): string {
  return `${domain === '' ? '' : `${domain}.`}${op} ${name}`;
}

const unknown: Refusal = {
  means: 'something that Hone does not know',
  remedy: 'export the model without it, or serve another model',
};

/**
 * Checks that a node uses nothing that its form does not list.
 * @param isRead whether a node or an output of the graph reads a value
 * @throws HoneError `OPERATOR_UNSUPPORTED` that names the operator, the node, the input or attribute, reason and remedy
 */
export function checkForm(node: Node, form: OperatorForm, isRead: (value: string) => boolean): void {
  const refusalOf = (feature: string): Refusal => form.refusals?.[feature] ?? unknown;
  for (const [name, value] of Object.entries(node.attributes)) {
    const known = Object.hasOwn(form.attributes, name) ? form.attributes[name] : undefined;
    if (known !== undefined && accepts(known, value)) continue;
    const { means, remedy } = refusalOf(name);
    throw refuseNode(node, `the attribute ${name}${inWords(value)} means ${means}`, remedy);
  }
  for (const [index, input] of node.inputs.entries()) {
    if (input === '' || nameAt(form.inputs, index) !== null) continue;
    const { means, remedy } = refusalOf(`input ${index}`);
    throw refuseNode(node, `input ${index} (${input}) means ${means}`, remedy);
  }
  for (const [index, output] of node.outputs.entries()) {
    if (output === '' || nameAt(form.outputs, index) !== null || !isRead(output)) continue;
    throw refuseNode(node, `its output ${index} (${output}) is read, but Hone does not compute it`, unknown.remedy);
  }
}

function nameAt(names: readonly (string | null)[], index: number): string | null {
  if (names.at(-1) === '...' && index >= names.length - 1) return '...';
  return names[index] ?? null;
}

function accepts({ kind, values }: AttributeForm, attribute: Attribute): boolean {
  // A Constant keeps its value in one of several attributes.
  if (kind === 'constant') return true;
  if (!(kind in attribute)) return false;
  const value = (attribute as Readonly<Record<string, unknown>>)[kind];
  return values === undefined || values.some((one) => one === value);
}

function inWords(attribute: Attribute): string {
  if ('i' in attribute) return ` (${attribute.i})`;
  if ('f' in attribute) return ` (${attribute.f})`;
  if ('s' in attribute) return ` ("${attribute.s.slice(0, 40)}")`;
  return '';
}
