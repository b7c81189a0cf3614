/**
 * What a decoder computes, as data. A family's descriptor makes it from `config.json`, and `decoder-graph.ts` builds the
 * graph from it. Names of modules are those of the checkpoint, as `transformers` loads it.
 */

import type { ActivationName } from './activations.js';
import type { RotaryTables } from './rotary-tables.js';

export interface DecoderPlan {
  readonly layers: readonly LayerPlan[];
  readonly hiddenSize: number;
  readonly ffnSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** Longest sequence for which the model was made, in tokens. */
  readonly contextLength: number;
  readonly embedding: {
    readonly module: string;
    /** A factor of the embedded tokens. Default 1. */
    readonly scale?: number;
    /** A table that is added by position. Its rows before `offset` belong to no position. */
    readonly positions?: { readonly module: string; readonly offset: number };
  };
  /** The norm before the head. */
  readonly lastNorm: Norm | null;
  readonly head: {
    /** The module of the head; null if it is the embedding. */
    readonly module: string | null;
    readonly bias: boolean;
    /** A factor of the logits. Default 1. */
    readonly scale?: number;
    /** A bound c: the logits become `c * tanh(logits / c)`. */
    readonly softcap?: number | null;
  };
}

/** A norm over a token's numbers, `rms(x) * w` or `(x - mean) / deviation * w + b`. */
export interface Norm {
  readonly kind: 'rms' | 'mean';
  readonly epsilon: number;
  /** The module whose `weight` and `bias` are applied; null if there are none. */
  readonly module: string | null;
  /** Whether there is a bias. Default false. */
  readonly bias?: boolean;
  /** Whether the stored weight w is applied as w + 1. Default false. */
  readonly plusOne?: boolean;
}

export interface Linear {
  readonly module: string;
  readonly bias: boolean;
  /** Whether the weight is stored as [in, out] (GPT-2's Conv1D) instead of [out, in]. Default false. */
  readonly transposed?: boolean;
}

export interface LayerPlan {
  readonly attention: AttentionPlan;
  readonly ffn: FfnPlan;
  /**
   * `sequential`: `x += attention(norm(x)); x += ffn(norm(x))`. `parallel`: `x += attention(norm(x)) + ffn(norm(x))`.
   */
  readonly order: 'sequential' | 'parallel';
  /** Norms before and after attention and ffn, if there are. Both may name the same norm. */
  readonly beforeAttention: Norm | null;
  readonly afterAttention: Norm | null;
  readonly beforeFfn: Norm | null;
  readonly afterFfn: Norm | null;
  /** A factor of what attention and ffn add. Default 1. */
  readonly residualScale?: number;
}

export interface AttentionPlan {
  readonly projections: SeparateProjections | PackedProjection;
  readonly output: Linear;
  /** Norms of query and key before rotary positions, and the numbers that they see together. */
  readonly queryKeyNorm?: { readonly over: 'head' | 'all'; readonly query: Norm; readonly key: Norm };
  /** Rotary positions; null for none. */
  readonly rotary: Rotary | null;
  /** The factor of the scores. */
  readonly scale: number;
  /** A token sees so many tokens, itself included; null: all before it. */
  readonly window: number | null;
  /** A bound c: scores become `c * tanh(score / c)`. */
  readonly softcap?: number | null;
}

export interface SeparateProjections {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
}

/** One product for all three. */
export interface PackedProjection {
  readonly packed: Linear;
  /**
   * The order of the outputs: `parts`: all queries, keys, values; `groups`: for each key-value head its queries, its
   * key and its value.
   */
  readonly order: 'parts' | 'groups';
}

export interface Rotary {
  /** Equal names mean equal tables. */
  readonly name: string;
  readonly tables: RotaryTables;
  /** Whether neighbouring numbers are a pair, and not those of the two halves. */
  readonly interleaved: boolean;
}

export interface FfnPlan {
  /** `down(activation(up(x)))`, or `down(activation(gate(x)) * up(x))`; `gateUp` holds both, the gate first. */
  readonly up: { readonly up: Linear; readonly gate?: Linear } | { readonly gateUp: Linear };
  readonly down: Linear;
  readonly activation: ActivationName;
}
