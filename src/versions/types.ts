/** Versions and adapters, as other folders see them. */

/** One learned matrix, row-major: A is [in, r], B is [r, out]. */
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
  /** In PEFT: `lora_alpha / r`. */
  readonly scale: number;
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
}

/** A linear layer of the decoder, to which an adapter can be attached. */
export interface AdapterTarget {
  /** Module path as in the Hugging Face checkpoint, e.g. `model.layers.0.mlp.up_proj`. */
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * `candidate`: trained, does not serve yet. `shadow`: answers in the background, and no caller sees its answers. `canary`:
 * serves a share of traffic. `live`: serves. `retired`: was live. `rejected`: never serves.
 */
export type VersionState = 'candidate' | 'shadow' | 'canary' | 'live' | 'retired' | 'rejected';

/** The two kinds of trial. */
export type TrialState = Extract<VersionState, 'shadow' | 'canary'>;

/** The result of one check of the gate, as the log keeps it with the version. */
export interface VersionCheck {
  readonly check: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** For people. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

export interface Version {
  /** Begin of the package digest: versions of one package form a lineage. */
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
  /** Figures that the learner reports about the training (steps, scores, KL to the reference and others). */
  readonly metrics: Readonly<Record<string, number>>;
  /** How many generations it learned from; absent if it was not learned, or by an earlier Hone. */
  readonly lessons?: number;
  /** The gate's verdict; empty until the gate judges the version, and for versions that it never judges. */
  readonly verdict: readonly VersionCheck[];
  /** Why it was rejected; `null` if it was not. */
  readonly rejectedBecause: string | null;
  /** Whether its adapter is still on disk; old ones are removed (see `retention.ts`). */
  readonly weights: 'kept' | 'removed';
}
