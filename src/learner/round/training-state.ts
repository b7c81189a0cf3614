/**
 * The weights in training with everything that belongs to them: optimizer, baseline, reference, the live version that
 * they come from, and the candidates made of them that have not become live.
 */

import { HoneError } from '../../errors.js';
import {
  type Adapter,
  type AdapterTarget,
  checkSameLayers,
  digestAdapter,
  readAdapter,
  type StoredAdapter,
  zeroAdapter,
} from '../../versions/index.js';
import { AdamW } from '../adamw.js';
import { createBaseline } from '../baseline/create-baseline.js';
import type { ValueBaseline } from '../baseline/types.js';
import { Lessons } from '../experience/lessons.js';
import { initialParameters, parametersFrom, toAdapter, toParameters } from '../initialization.js';
import { learningRates } from '../schedules.js';
import type { LearnerSettings, Parameters, Reference, TrainingEngine } from '../types.js';
import type { Checkpoint } from './checkpoint.js';

/** Candidates that may still become live: while the gate is busy with one, the learner may offer many. */
const maxCandidates = 256;

export class TrainingState {
  readonly #settings: LearnerSettings;
  readonly #engine: Pick<TrainingEngine, 'promptFeatures'>;
  readonly #targets: readonly AdapterTarget[];
  readonly #zero: Adapter;
  readonly #base: Reference;
  #reference: Reference;
  #referenceVersion = 0;
  /** What the weights have learned from since the live version. */
  readonly lessons = new Lessons();
  #parameters: Parameters;
  #optimizer: AdamW;
  #baseline: ValueBaseline;
  #liveVersion = -1;
  #liveDigest = '';
  #candidates: string[] = [];

  /** @param engine computes with these weights, and the features of prompts for the baseline */
  constructor(
    engine: Pick<TrainingEngine, 'promptFeatures'> & { readonly targets: readonly AdapterTarget[] },
    settings: LearnerSettings,
  ) {
    const { targets } = engine;
    this.#engine = engine;
    this.#settings = settings;
    this.#targets = targets;
    this.#zero = zeroAdapter(targets, settings.rank, settings.scale);
    this.#base = { digest: digestAdapter(this.#zero), parameters: toParameters(this.#zero) };
    this.#reference = this.#base;
    this.#parameters = new Map();
    this.#optimizer = this.#newOptimizer();
    this.#baseline = this.#newBaseline();
  }

  /** The policy that KL is measured against: the zero adapter, or the live version that it last moved to. */
  get reference(): Reference {
    return this.#reference;
  }

  /** Trained in place. */
  get parameters(): Parameters {
    return this.#parameters;
  }

  get optimizer(): AdamW {
    return this.#optimizer;
  }

  get baseline(): ValueBaseline {
    return this.#baseline;
  }

  /** A copy of the weights. */
  adapter(): Adapter {
    return toAdapter(this.#parameters, this.#settings.rank, this.#settings.scale);
  }

  /** Remembers that an adapter with this digest was offered as a version. */
  offered(digest: string): void {
    this.#candidates = [...this.#candidates.slice(1 - maxCandidates), digest];
    this.lessons.offered(digest);
  }

  /**
   * Follows the live version. If that was a candidate of these weights, they stay: they may be ahead of it by now. Any
   * other version replaces them, and so does a rollback, even to a former candidate.
   * @param version number of the live version
   * @param adapterPath folder of its adapter; null is the zero adapter
   * @param recorded digest of that adapter
   * @param rolledBack whether it is a rollback
   * @param fromCheckpoint weights to continue with, if the live version allows that
   * @returns whether the weights are still those from before, or from the checkpoint
   * @throws HoneError `ADAPTER_INVALID` (also if the files hold other weights than recorded), `ADAPTER_MISMATCH`
   */
  async follow(
    version: number,
    adapterPath: string | null,
    recorded: string,
    rolledBack: boolean,
    fromCheckpoint?: Checkpoint,
  ): Promise<boolean> {
    const { adapter, digest } =
      adapterPath === null
        ? { adapter: this.#zero, digest: digestAdapter(this.#zero) }
        : await readRecorded(adapterPath, recorded);
    if (fromCheckpoint !== undefined && this.#fits(fromCheckpoint)) this.#restore(fromCheckpoint);
    const offer = this.#candidates.indexOf(digest);
    const unmoved = version === this.#liveVersion && digest === this.#liveDigest;
    const continues = unmoved || (!rolledBack && offer >= 0);
    if (!continues) {
      this.#reset(adapterPath === null ? null : adapter);
    } else {
      // Candidates that were offered before this one will not become live any more.
      this.#candidates = this.#candidates.slice(offer + 1);
      this.lessons.followed(digest);
    }
    this.#liveVersion = version;
    this.#liveDigest = digest;
    this.#moveReference(adapter, digest, rolledBack && !unmoved);
    return continues;
  }

  /**
   * Goes back to the live version if the weights come from this rejected candidate.
   * @param adapterPath folder of the live version's adapter; null is the zero adapter
   * @returns whether it went back
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async rejected(digest: string, adapterPath: string | null): Promise<boolean> {
    if (!this.#candidates.includes(digest)) return false;
    await this.goBack(adapterPath);
    return true;
  }

  /**
   * Goes back to the live version if the weights have learned from a generation that was erased.
   * @param adapterPath folder of the live version's adapter; null is the zero adapter
   * @returns whether it went back
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async erased(adapterPath: string | null): Promise<boolean> {
    if (!this.lessons.incomplete) return false;
    // The reference is a former live version, which may have learned from the erased data, too.
    this.#reference = this.#base;
    this.#referenceVersion = this.#liveVersion;
    await this.goBack(adapterPath);
    return true;
  }

  /** Ids of all generations that are kept here: lessons, and completions that V(x) was fitted on. */
  remembered(): string[] {
    return [...new Set([...this.lessons.all(), ...this.#baseline.generationIds()])];
  }

  /** Forgets all generations but these, because they were removed from the store. */
  retain(existing: ReadonlySet<string>): void {
    this.lessons.retain(existing);
    this.#baseline.retain(existing);
  }

  /**
   * Replaces the weights by those of the live version.
   * @param adapterPath folder of the live version's adapter; null is the zero adapter
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async goBack(adapterPath: string | null): Promise<void> {
    this.#reset(adapterPath === null ? null : (await readRecorded(adapterPath, this.#liveDigest)).adapter);
  }

  /** What a checkpoint keeps. */
  state() {
    const { step, moments } = this.#optimizer.state();
    const baseline = this.#baseline.state();
    return {
      moments,
      baselineTensors: baseline.tensors,
      parameters: this.#parameters,
      reference: this.#reference === this.#base ? new Map() : this.#reference.parameters,
      state: {
        rank: this.#settings.rank,
        scale: this.#settings.scale,
        liveVersion: this.#liveVersion,
        liveDigest: this.#liveDigest,
        candidateDigests: this.#candidates,
        optimizerStep: step,
        reference: { version: this.#referenceVersion, digest: this.#reference.digest },
        baseline: baseline.numbers,
        ...(baseline.window === undefined ? {} : { baselineWindow: baseline.window }),
        lessons: this.lessons.state(),
      },
    };
  }

  #reset(adapter: Adapter | null): void {
    const { rank, seed } = this.#settings;
    if (adapter === null) {
      this.#parameters = initialParameters(this.#targets, rank, seed);
    } else {
      checkSameLayers(adapter, this.#zero);
      this.#parameters = parametersFrom(adapter, this.#targets, this.#settings);
    }
    this.#optimizer = this.#newOptimizer();
    this.#baseline = this.#newBaseline();
    this.#candidates = [];
    this.lessons.reset();
  }

  /** Makes the live version the reference, every `referenceEvery` versions and after a rollback. */
  #moveReference(adapter: Adapter, digest: string, wentBack: boolean): void {
    const { referenceEvery } = this.#settings;
    if (referenceEvery === 0) return;
    if (!wentBack && this.#liveVersion - this.#referenceVersion < referenceEvery) return;
    this.#referenceVersion = this.#liveVersion;
    if (digest === this.#reference.digest) return;
    this.#reference = { digest, parameters: parametersFrom(adapter, this.#targets, this.#settings) };
    // The baseline has observed R_beta, which was measured against the reference from before.
    this.#baseline = this.#newBaseline();
  }

  #fits({ state, parameters }: Checkpoint): boolean {
    return (
      state.rank === this.#settings.rank &&
      state.scale === this.#settings.scale &&
      parameters.size === this.#base.parameters.size &&
      [...this.#base.parameters].every(([name, { dims }]) => String(parameters.get(name)?.dims) === String(dims))
    );
  }

  #restore({ state, parameters, moments, reference, baselineTensors }: Checkpoint): void {
    this.#parameters = parameters;
    this.#optimizer.restore({ step: state.optimizerStep, moments: new Map(moments) });
    this.#baseline.restore({
      numbers: state.baseline,
      ...(state.baselineWindow === undefined ? {} : { window: state.baselineWindow }),
      ...(baselineTensors === undefined ? {} : { tensors: baselineTensors }),
    });
    this.#liveVersion = state.liveVersion;
    this.#liveDigest = state.liveDigest;
    this.#candidates = [...state.candidateDigests];
    this.lessons.restore(state.lessons ?? []);
    if (this.#settings.referenceEvery === 0 || state.reference === undefined) return;
    this.#referenceVersion = state.reference.version;
    if (reference.size > 0) this.#reference = { digest: state.reference.digest, parameters: reference };
  }

  #newBaseline(): ValueBaseline {
    const base = toParameters(this.#zero);
    return createBaseline(this.#settings, (prompts) => this.#engine.promptFeatures(prompts, base));
  }

  #newOptimizer(): AdamW {
    const { adamBeta1, adamBeta2, clipNorm } = this.#settings;
    return new AdamW({
      learningRate: learningRates(this.#settings),
      beta1: adamBeta1,
      beta2: adamBeta2,
      clipNorm,
    });
  }
}

/** Reads an adapter, and refuses files that hold a whole adapter but not the one that was recorded. */
async function readRecorded(path: string, recorded: string): Promise<StoredAdapter> {
  const stored = await readAdapter(path);
  if (stored.digest === recorded) return stored;
  throw new HoneError(
    'ADAPTER_INVALID',
    `the adapter in ${path} has digest ${stored.digest}, the live version was recorded with ${recorded}: its files were ` +
      'replaced; put them back, or roll back to another version',
  );
}
