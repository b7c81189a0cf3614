/**
 * A decoder file as a graph that code can read and edit.
 *
 * Values are names, as in ONNX: an input, an initializer or the output of a node. Each name is assigned once. Nodes may
 * stand in any order until the graph is written or run; `prune` sorts them. The codec refuses subgraphs (If, Loop).
 */

import { HoneError } from '../errors.js';
import { type ElementType, float32Tensor, int64Tensor, int64Values, type Tensor } from './tensor.js';

/** An attribute of one of ONNX's kinds: f float, i int, s string, t tensor, and lists of the first three. */
export type Attribute =
  | { readonly f: number }
  | { readonly i: number }
  | { readonly s: string }
  | { readonly t: Tensor }
  | { readonly fs: readonly number[] }
  | { readonly is: readonly number[] }
  | { readonly ss: readonly string[] };

export type Attributes = Readonly<Record<string, Attribute>>;

export interface Node {
  readonly name: string;
  readonly op: string;
  /** `''` is ai.onnx. */
  readonly domain: string;
  /** Names of values; `''` is an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  /** The path of the module that the exporter made the node of, where it notes that. */
  readonly module?: string;
}

/** A graph input or output; a string is a dimension known only at run time. */
export interface ValueInfo {
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

export interface AddOptions {
  readonly domain?: string;
  readonly attributes?: Attributes;
  /** Names of the outputs. Default: one fresh name. */
  readonly outputs?: readonly string[];
  readonly name?: string;
}

export const microsoft = 'com.microsoft';

export class Graph {
  readonly inputs = new Map<string, ValueInfo>();
  /** Declared outputs; with `null`, onnxruntime infers type and shape. */
  readonly outputs = new Map<string, ValueInfo | null>();
  readonly initializers = new Map<string, Tensor>();
  nodes: Node[] = [];
  readonly opsets = new Map<string, number>([
    ['', 21],
    [microsoft, 1],
  ]);
  name = 'hone';
  /** The folder of external data: that of the file from which the graph was read. */
  directory: string | null = null;
  /** The program that wrote the file, as the file states. */
  producer = 'hone';
  #fresh = 0;
  readonly #constants = new Map<string, string>();

  /** Adds a node and returns the name of its first output. */
  add(op: string, inputs: readonly string[], options: AddOptions = {}): string {
    const outputs = options.outputs ?? [this.freshName(op)];
    const node: Node = {
      name: options.name ?? `${outputs[0]}/${op}`,
      op,
      domain: options.domain ?? '',
      inputs,
      outputs,
      attributes: options.attributes ?? {},
    };
    this.nodes.push(node);
    return outputs[0] as string;
  }

  /** A value name that is not in use; `hint` makes it readable. */
  freshName(hint: string): string {
    this.#fresh += 1;
    return `~${hint}.${this.#fresh}`;
  }

  /** Makes {@link freshName} avoid the names of a graph that was read from a file. */
  reserveNames(): void {
    const names = [...this.initializers.keys(), ...this.nodes.flatMap((node) => node.outputs)];
    for (const name of names) {
      const number = /^~.*\.(\d+)$/.exec(name)?.[1];
      if (number !== undefined) this.#fresh = Math.max(this.#fresh, Number(number));
    }
  }

  /** The name of an int64 initializer with these values, shared by equal content; a scalar if `values` is a number. */
  int64(values: number | readonly number[]): string {
    const key = `i:${typeof values === 'number' ? values : `[${values.join()}]`}`;
    return this.#constant(key, () => (typeof values === 'number' ? int64Tensor([values], []) : int64Tensor(values)));
  }

  /** The name of a float32 scalar initializer, shared by equal content. */
  float(value: number): string {
    return this.#constant(`f:${value}`, () => float32Tensor(Float32Array.of(value), []));
  }

  #constant(key: string, make: () => Tensor): string {
    const existing = this.#constants.get(key);
    if (existing !== undefined && this.initializers.has(existing)) return existing;
    const name = this.freshName(`const ${key}`);
    this.initializers.set(name, make());
    this.#constants.set(key, name);
    return name;
  }

  /** The values of an int64 initializer or Constant node; undefined if the value is not constant. */
  constantInts(name: string): number[] | undefined {
    const tensor = this.initializers.get(name) ?? this.#constantNode(name);
    return tensor?.type === 'int64' ? int64Values(tensor) : undefined;
  }

  #constantNode(name: string): Tensor | undefined {
    const node = this.producers().get(name);
    const value = node?.op === 'Constant' ? node.attributes.value : undefined;
    return value !== undefined && 't' in value ? value.t : undefined;
  }

  /** Nodes by the name of each of their outputs; each call computes the map again. */
  producers(): Map<string, Node> {
    const producers = new Map<string, Node>();
    for (const node of this.nodes) for (const output of node.outputs) if (output !== '') producers.set(output, node);
    return producers;
  }

  /** Nodes by the name of each value that they read; each call computes the map again. */
  consumers(): Map<string, Node[]> {
    const consumers = new Map<string, Node[]>();
    for (const node of this.nodes) {
      for (const input of new Set(node.inputs)) {
        const list = consumers.get(input);
        if (list) list.push(node);
        else consumers.set(input, [node]);
      }
    }
    return consumers;
  }

  /** Makes every node that reads `from` read `to` instead. The outputs of the graph keep their names. */
  replaceUses(from: string, to: string, except: (node: Node) => boolean = () => false): void {
    this.nodes = this.nodes.map((node) =>
      node.inputs.includes(from) && !except(node)
        ? { ...node, inputs: node.inputs.map((input) => (input === from ? to : input)) }
        : node,
    );
  }

  /** Replaces one node by others, which together compute its outputs. */
  replaceNode(node: Node, replacement: readonly Node[]): void {
    const index = this.nodes.indexOf(node);
    this.nodes.splice(index, 1, ...replacement);
  }

  removeNodes(doomed: ReadonlySet<Node>): void {
    this.nodes = this.nodes.filter((node) => !doomed.has(node));
  }

  /** Removes nodes and initializers that no output needs, and sorts the rest topologically. Inputs stay. */
  prune(): void {
    this.nodes = this.#reachable();
    const used = new Set(this.nodes.flatMap((node) => node.inputs));
    for (const name of this.initializers.keys()) {
      if (!used.has(name) && !this.outputs.has(name)) this.initializers.delete(name);
    }
  }

  /**
   * The nodes that the outputs need, in topological order. @throws HoneError `MODEL_INVALID` for an unknown value or a
   * cycle
   */
  #reachable(): Node[] {
    const producers = this.producers();
    const sorted: Node[] = [];
    const state = new Map<Node, 'open' | 'done'>();
    const stack: { node: Node; next: number }[] = [];
    const enter = (value: string, reader: string): void => {
      if (value === '' || this.inputs.has(value) || this.initializers.has(value)) return;
      const node = producers.get(value);
      if (!node)
        throw new HoneError(
          'MODEL_INVALID',
          `${reader} reads "${value}", which is no input, initializer or output of a node`,
        );
      const seen = state.get(node);
      if (seen === 'open') throw new HoneError('MODEL_INVALID', `the graph has a cycle through ${node.name}`);
      if (seen === undefined) {
        state.set(node, 'open');
        stack.push({ node, next: 0 });
      }
    };
    for (const output of this.outputs.keys()) {
      enter(output, 'the output list');
      while (stack.length > 0) {
        const top = stack[stack.length - 1] as { node: Node; next: number };
        const input = top.node.inputs[top.next];
        if (input === undefined) {
          state.set(top.node, 'done');
          sorted.push(top.node);
          stack.pop();
        } else {
          top.next += 1;
          enter(input, top.node.name);
        }
      }
    }
    return sorted;
  }

  /** A copy whose lists and maps can be edited without changing this graph; the bytes of tensors are shared. */
  clone(): Graph {
    const copy = new Graph();
    for (const [name, value] of this.inputs) copy.inputs.set(name, value);
    for (const [name, value] of this.outputs) copy.outputs.set(name, value);
    for (const [name, value] of this.initializers) copy.initializers.set(name, value);
    copy.opsets.clear();
    for (const [domain, version] of this.opsets) copy.opsets.set(domain, version);
    copy.nodes = [...this.nodes];
    copy.name = this.name;
    copy.directory = this.directory;
    copy.producer = this.producer;
    copy.#fresh = this.#fresh;
    for (const [key, name] of this.#constants) copy.#constants.set(key, name);
    return copy;
  }
}

/** The number (int or float) of an attribute, or `fallback` if the node lacks it. */
export function numberAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name];
  if (value === undefined) return fallback;
  if ('i' in value) return value.i;
  if ('f' in value) return value.f;
  throw new HoneError('MODEL_INVALID', `${node.op} ${node.name}: attribute ${name} is not a number`);
}

/** @throws HoneError `MODEL_INVALID` if the attribute is no text */
export function textAttribute(node: Node, name: string, fallback: string): string {
  const value = node.attributes[name];
  if (value === undefined) return fallback;
  if ('s' in value) return value.s;
  throw new HoneError('MODEL_INVALID', `${node.op} ${node.name}: attribute ${name} is not a text`);
}

/** The list of ints of an attribute; undefined if the node lacks it. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const value = node.attributes[name];
  return value !== undefined && 'is' in value ? value.is : undefined;
}
