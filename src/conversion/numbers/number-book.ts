/** The graph that is being converted, its source of weights, and the plans of the weights that it gets. */

import { byteCount, type Graph, isExternal, type Node, type Tensor, type WeightReader } from '../../onnx/index.js';
import { type PlannedWeight, pending } from '../weights/planned-weights.js';

export class NumberBook {
  readonly graph: Graph;
  readonly reader: WeightReader;
  readonly weights: PlannedWeight[] = [];
  readonly #planned = new Set<string>();
  #producers: ReadonlyMap<string, Node>;
  #consumers: ReadonlyMap<string, readonly Node[]>;

  /** @param graph is edited in place. @param reader reads the weights of the file */
  constructor(graph: Graph, reader: WeightReader) {
    this.graph = graph;
    this.reader = reader;
    this.#producers = graph.producers();
    this.#consumers = graph.consumers();
  }

  /** The node that computes a value, as of the last {@link look}. */
  producer(value: string): Node | undefined {
    return this.#producers.get(value);
  }

  /** The nodes that read a value, as of the last {@link look}. */
  consumers(value: string): readonly Node[] {
    return this.#consumers.get(value) ?? [];
  }

  /** Looks again at the graph, after an edit. */
  look(): void {
    this.#producers = this.graph.producers();
    this.#consumers = this.graph.consumers();
  }

  /** The tensor of an initializer of the file or of a Constant node; undefined if the value is computed. */
  constant(name: string): Tensor | undefined {
    if (this.#planned.has(name)) return undefined;
    const value = this.producer(name)?.op === 'Constant' ? this.producer(name)?.attributes.value : undefined;
    return this.graph.initializers.get(name) ?? (value !== undefined && 't' in value ? value.t : undefined);
  }

  isPlanned(name: string): boolean {
    return this.#planned.has(name);
  }

  /** Registers a weight, whose initializers replace those of the same names, and returns the name of the first one. */
  add(weight: PlannedWeight): string {
    this.weights.push(weight);
    for (const { name, type, dims } of weight.tensors) {
      this.graph.initializers.set(name, pending(type, dims, name));
      this.#planned.add(name);
    }
    return (weight.tensors[0] as { name: string }).name;
  }

  /** Gives an initializer the bytes of a planned tensor. */
  share(name: string, tensor: Pick<Tensor, 'type' | 'dims'>, planned: string): void {
    this.graph.initializers.set(name, pending(tensor.type, tensor.dims, planned));
    this.#planned.add(name);
  }

  /** Returns the name, or a new one if it is in use. */
  freeName(name: string): string {
    const { graph } = this;
    const isTaken =
      graph.initializers.has(name) || this.#producers.has(name) || graph.inputs.has(name) || graph.outputs.has(name);
    return isTaken ? graph.freshName(name) : name;
  }

  /** All bytes of a tensor. */
  async bytes(tensor: Tensor): Promise<Uint8Array> {
    return this.reader.bytes(
      tensor,
      0,
      isExternal(tensor.data) ? byteCount(tensor.type, tensor.dims) : tensor.data.length,
    );
  }
}
