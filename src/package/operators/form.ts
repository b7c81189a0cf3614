/**
 * The form of an operator that Hone understands: inputs by position, outputs, attributes and their values.
 *
 * Hone rewrites some operators, differentiates others and reads meaning from more. An input or attribute that it does not
 * know would be dropped on the way, and the model would compute something else without an error. So each form is a
 * complete list, and a node that goes beyond it is refused by name.
 */

import { HoneError } from '../../errors.js';
import type { Attribute, Node } from '../../onnx/index.js';

/** Why a feature is refused, and what the user can do about it. */
export interface Refusal {
  /** What the feature does, as the object of "means". */
  readonly means: string;
  /** An imperative without a full stop. */
  readonly instead: string;
}

/** One attribute: its kind in ONNX, and the values that are understood (all of them, if the list is absent). */
export interface AttributeForm {
  readonly kind: 'i' | 'f' | 's' | 'is' | 't' | 'constant';
  readonly values?: readonly (number | string)[];
}

export interface OperatorForm {
  /** Inputs that are understood, by position; `null` marks one that is not. The last may repeat: `'...'` after it. */
  readonly inputs: readonly (string | null)[];
  /** Outputs that may be read, by position; `null` marks one that may not. `'...'` as for inputs. */
  readonly outputs: readonly (string | null)[];
  readonly attributes: Readonly<Record<string, AttributeForm>>;
  /** Reasons for what is not understood: by the name of an attribute, or by `input 10`. */
  readonly refusals?: Readonly<Record<string, Refusal>>;
}

export const int = (...values: number[]): AttributeForm =>
  values.length === 0 ? { kind: 'i' } : { kind: 'i', values };
export const float = (...values: number[]): AttributeForm =>
  values.length === 0 ? { kind: 'f' } : { kind: 'f', values };
export const text = (...values: string[]): AttributeForm => ({ kind: 's', values });
export const ints: AttributeForm = { kind: 'is' };

/** An operator in a form that Hone does not understand: `GroupQueryAttention /attn: softcap is 50, which ...`. */
export function refuseNode(node: Node, what: string, instead: string): HoneError {
  return new HoneError('OPERATOR_UNSUPPORTED', `${describeNode(node)}: ${what}; ${instead}`);
}

export function describeNode({ op, domain, name }: Node): string {
  return `${domain === '' ? '' : `${domain}.`}${op} ${name}`;
}

const unknown: Refusal = {
  means: 'something that Hone does not know',
  instead: 'export the model without it, or serve another model',
};

/**
 * Checks that a node uses nothing beyond its form.
 * @param isRead whether anything reads a value
 * @throws HoneError `OPERATOR_UNSUPPORTED` that names operator, node, the input or attribute, the reason and the remedy
 */
export function checkForm(node: Node, form: OperatorForm, isRead: (value: string) => boolean): void {
  const refusalOf = (feature: string): Refusal => form.refusals?.[feature] ?? unknown;
  for (const [name, value] of Object.entries(node.attributes)) {
    const known = Object.hasOwn(form.attributes, name) ? form.attributes[name] : undefined;
    if (known !== undefined && accepts(known, value)) continue;
    const { means, instead } = refusalOf(name);
    throw refuseNode(node, `the attribute ${name}${inWords(value)} means ${means}`, instead);
  }
  for (const [index, input] of node.inputs.entries()) {
    if (input === '' || nameAt(form.inputs, index) !== null) continue;
    const { means, instead } = refusalOf(`input ${index}`);
    throw refuseNode(node, `input ${index} (${input}) means ${means}`, instead);
  }
  for (const [index, output] of node.outputs.entries()) {
    if (output === '' || nameAt(form.outputs, index) !== null || !isRead(output)) continue;
    throw refuseNode(node, `its output ${index} (${output}) is read, which Hone does not compute`, unknown.instead);
  }
}

function nameAt(names: readonly (string | null)[], index: number): string | null {
  if (names.at(-1) === '...' && index >= names.length - 1) return '...';
  return names[index] ?? null;
}

function accepts({ kind, values }: AttributeForm, attribute: Attribute): boolean {
  // ONNX has several attributes for the one value of a Constant.
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
