/**
 * Chat templates in the template engine, with what transformers gives them beside the messages.
 *
 * The engine ignores the argument of `strip`, `lstrip` and `rstrip`, so these are calls of functions here. So is
 * `raise_exception`, because a chat that a template refuses must be told from a template that the engine cannot run.
 */

import { Template } from '@huggingface/jinja';

/** The words with which a template refuses a chat. */
export class TemplateRefusal extends Error {}

/** A node of a parsed template, as far as it is of interest. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
}

interface Call extends Node {
  callee: Node & { readonly object?: Node; readonly property?: Node };
  args: Node[];
}

/** By the name of a method or function of templates: a function that does the same, and gets the object first. */
const functions: Readonly<Record<string, (...args: string[]) => string>> = {
  strip: (text = '', characters?: string) => strippedAtEnd(strippedAtStart(text, characters), characters),
  lstrip: (text = '', characters?: string) => strippedAtStart(text, characters),
  rstrip: (text = '', characters?: string) => strippedAtEnd(text, characters),
  raise_exception: (message = '') => {
    throw new TemplateRefusal(message);
  },
};

const prefix = '__hone_';
const named = Object.fromEntries(Object.entries(functions).map(([name, run]) => [prefix + name, run]));

/** What transformers gives a template that is asked for no more than a chat. */
const absent = { tools: null, documents: null };

export class TemplateProgram {
  readonly #template: Template;

  /** @throws Error of the engine if the source does not parse */
  constructor(source: string) {
    this.#template = new Template(source);
    replaceCalls(this.#template.parsed as unknown as Node);
  }

  /** @throws TemplateRefusal, or an error of the engine */
  render(variables: Readonly<Record<string, unknown>>): string {
    return this.#template.render({ ...absent, ...variables, ...named });
  }
}

function replaceCalls(node: object): void {
  for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) replaceCalls(child);
  if ((node as Node).type !== 'CallExpression') return;
  const call = node as Call;
  const { object, property, type, value } = call.callee;
  if (type === 'Identifier' && value === 'raise_exception') call.callee = functionNamed('raise_exception');
  const method = String(property?.value);
  const strips = type === 'MemberExpression' && property?.type === 'Identifier' && /^[lr]?strip$/.test(method);
  if (!strips || object === undefined || call.args.length === 0) return;
  call.callee = functionNamed(method);
  call.args = [object, ...call.args];
}

function functionNamed(name: string): Node {
  return { type: 'Identifier', value: prefix + name };
}

function strippedAtStart(text: string, characters: string | undefined): string {
  if (characters === undefined || characters === null) return text.trimStart();
  const [all, given] = [[...text], new Set(characters)];
  const first = all.findIndex((character) => !given.has(character));
  return first < 0 ? '' : all.slice(first).join('');
}

function strippedAtEnd(text: string, characters: string | undefined): string {
  if (characters === undefined || characters === null) return text.trimEnd();
  const [all, given] = [[...text], new Set(characters)];
  return all.slice(0, all.findLastIndex((character) => !given.has(character)) + 1).join('');
}
