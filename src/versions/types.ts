/** The words that other folders use of versions: what a version is, what an adapter holds. */

/** One learned matrix. A is [in, r], B is [r, out]; row-major. */
export interface AdapterTensor {
  readonly dims: readonly [number, number];
  readonly data: Float32Array;
}

/**
 * LoRA matrices of a decoder, by graph input name: `<module path>.lora_A` [in, r] and `<module path>.lora_B` [r, out],
 * for instance `model.layers.0.self_attn.q_proj.lora_A`. The layer computes `x W + scale * (x A) B`.
 */
export interface Adapter {
  readonly rank: number;
  /** `lora_alpha / r` in PEFT's words. */
  readonly scale: number;
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
}

/** Where an adapter may be attached: one entry per linear layer of the decoder. */
export interface AdapterTarget {
  /** Module path as in the Hugging Face checkpoint, e.g. `model.layers.0.mlp.up_proj`. */
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** candidate: trained, not serving; live: the head; retired: was live; rejected: the gate said no. */
export type VersionState = 'candidate' | 'live' | 'retired' | 'rejected';

export interface Version {
  /** A package of its own opens a lineage of its own. */
  readonly lineage: string;
  /** Monotonic within the data directory; 0 is the zero adapter. */
  readonly number: number;
  /** SHA-256 (hex) over the adapter's canonical bytes. */
  readonly adapterDigest: string;
  readonly packageDigest: string;
  readonly state: VersionState;
  readonly createdAtMs: number;
  /** The version this one was trained from, or, for a rollback, the version whose weights it serves again. */
  readonly parent: number | null;
  readonly origin: 'base' | 'learned' | 'rollback' | 'imported';
  /** Numbers the learner reports of the training that made it (steps, scores, KL to the reference...). */
  readonly metrics: Readonly<Record<string, number>>;
  /** Whether its adapter can still be read; old ones make room (see `retention.ts`). */
  readonly weights: 'kept' | 'removed';
}
