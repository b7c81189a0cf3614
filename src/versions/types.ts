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

/**
 * candidate: trained, not serving; shadow: answers in the background, shown to nobody; canary: serves a share of traffic;
 * live: the head; retired: was live; rejected: never to serve.
 */
export type VersionState = 'candidate' | 'shadow' | 'canary' | 'live' | 'retired' | 'rejected';

/** How a version is on trial. */
export type TrialState = Extract<VersionState, 'shadow' | 'canary'>;

/** What one check of the gate found, as it is kept with the version. */
export interface VersionCheck {
  readonly check: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** In words. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

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
  /** What the gate found; empty until it was judged, and for versions that the gate never saw. */
  readonly verdict: readonly VersionCheck[];
  /** Why it was rejected; `null` where it was not. */
  readonly rejectedBecause: string | null;
  /** Whether its adapter can still be read; old ones make room (see `retention.ts`). */
  readonly weights: 'kept' | 'removed';
}
