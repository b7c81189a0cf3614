/**
 * The weights in training with everything that belongs to them: optimizer, baseline, the head that they come from, and
 * the candidates made of them that have not become the head yet.
 */

import {
  type Adapter,
  type AdapterTarget,
  checkSameLayers,
  digestAdapter,
  readAdapter,
  zeroAdapter,
} from '../versions/index.js';
import { AdamW } from './adamw.js';
import { createBaseline } from './baseline/create-baseline.js';
import type { ValueBaseline } from './baseline/types.js';
import type { Checkpoint } from './checkpoint.js';
import { Lessons } from './experience/lessons.js';
import { initialParameters, parametersFrom, toAdapter, toParameters } from './initialization.js';
import { learningRates } from './schedules.js';
import type { LearnerSettings, Parameters, Reference } from './types.js';

/** Candidates that may still become the head: the gate may be busy with one while many are offered. */
const maxCandidates = 256;

export class Trainee {
  readonly #settings: LearnerSettings;
  readonly #targets: readonly AdapterTarget[];
  readonly #zero: Adapter;
  readonly #base: Reference;
  #reference: Reference;
  #referenceVersion = 0;
  /** What the weights were learned from. */
  readonly lessons = new Lessons();
  #parameters: Parameters;
  #optimizer: AdamW;
  #baseline: ValueBaseline;
  #liveVersion = -1;
  #liveDigest = '';
  #candidates: string[] = [];

  constructor(targets: readonly AdapterTarget[], settings: LearnerSettings) {
    this.#settings = settings;
    this.#targets = targets;
    this.#zero = zeroAdapter(targets, settings.rank, settings.scale);
    this.#base = { digest: digestAdapter(this.#zero), parameters: toParameters(this.#zero) };
    this.#reference = this.#base;
    this.#parameters = new Map();
    this.#optimizer = this.#newOptimizer();
    this.#baseline = createBaseline(settings);
  }

  /** The zero adapter, or the live version that it was moved to last. */
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

  /** A copy of the weights as they are. */
  adapter(): Adapter {
    return toAdapter(this.#parameters, this.#settings.rank, this.#settings.scale);
  }

  /** Remembers that an adapter with this digest was offered as a version. */
  offered(digest: string): void {
    this.#candidates = [...this.#candidates.slice(1 - maxCandidates), digest];
    this.lessons.offered(digest);
  }

  /**
   * Follows the head. One that was made of these weights changes nothing: they may be ahead of it by now. Any other
   * replaces them; so does a later version with the weights of an older one, for that is a rollback.
   * @param version its number
   * @param adapterPath directory of the head's adapter; null is the zero adapter
   * @param rolledBack whether that version is a rollback: nothing that was offered continues it
   * @param fromCheckpoint continue with this where the head is the one that it was written under
   * @returns whether the weights are still the ones from before (or from the checkpoint)
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async follow(
    version: number,
    adapterPath: string | null,
    rolledBack: boolean,
    fromCheckpoint?: Checkpoint,
  ): Promise<boolean> {
    const { adapter, digest } =
      adapterPath === null
        ? { adapter: this.#zero, digest: digestAdapter(this.#zero) }
        : await readAdapter(adapterPath);
    if (fromCheckpoint !== undefined && this.#fits(fromCheckpoint)) this.#restore(fromCheckpoint);
    const offer = this.#candidates.indexOf(digest);
    const unmoved = version === this.#liveVersion && digest === this.#liveDigest;
    const continues = unmoved || (!rolledBack && offer >= 0);
    if (!continues) {
      this.#reset(adapterPath === null ? null : adapter);
    } else {
      // What was offered before the new head is no longer on its way.
      this.#candidates = this.#candidates.slice(offer + 1);
      this.lessons.followed(digest);
    }
    this.#liveVersion = version;
    this.#liveDigest = digest;
    this.#moveReference(adapter, digest, rolledBack && !unmoved);
    return continues;
  }

  /**
   * Gives the weights up for the head's where they come from an offered version that was rejected.
   * @param adapterPath directory of the head's adapter; null is the zero adapter
   * @returns whether they were given up
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async rejected(digest: string, adapterPath: string | null): Promise<boolean> {
    if (!this.#candidates.includes(digest)) return false;
    await this.#goBack(adapterPath);
    return true;
  }

  /**
   * Gives the weights up for the head's where they were learned from something that was erased.
   * @param adapterPath as above
   * @returns whether they were given up
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async erased(adapterPath: string | null): Promise<boolean> {
    if (!this.lessons.incomplete) return false;
    // It may have learned from what was erased, too.
    this.#reference = this.#base;
    this.#referenceVersion = this.#liveVersion;
    await this.#goBack(adapterPath);
    return true;
  }

  async #goBack(adapterPath: string | null): Promise<void> {
    this.#reset(adapterPath === null ? null : (await readAdapter(adapterPath)).adapter);
  }

  /** What a checkpoint must hold of this. */
  state() {
    const { step, moments } = this.#optimizer.state();
    return {
      moments,
      parameters: this.#parameters,
      reference: this.#reference === this.#base ? new Map() : this.#reference.parameters,
      state: {
        rank: this.#settings.rank,
        scale: this.#settings.scale,
        liveVersion: this.#liveVersion,
        liveDigest: this.#liveDigest,
        candidateDigests: this.#candidates,
        optimizerStep: step,
        baseline: this.#baseline.state(),
        reference: { version: this.#referenceVersion, digest: this.#reference.digest },
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
    this.#baseline = createBaseline(this.#settings);
    this.#candidates = [];
    this.lessons.reset();
  }

  /** Where it is time, or where the head went back, the live version becomes the reference. */
  #moveReference(adapter: Adapter, digest: string, wentBack: boolean): void {
    const { referenceEvery } = this.#settings;
    if (referenceEvery === 0) return;
    if (!wentBack && this.#liveVersion - this.#referenceVersion < referenceEvery) return;
    this.#referenceVersion = this.#liveVersion;
    this.#reference = { digest, parameters: parametersFrom(adapter, this.#targets, this.#settings) };
  }

  #fits({ state, parameters }: Checkpoint): boolean {
    return (
      state.rank === this.#settings.rank &&
      state.scale === this.#settings.scale &&
      parameters.size === this.#base.parameters.size &&
      [...this.#base.parameters].every(([name, { dims }]) => String(parameters.get(name)?.dims) === String(dims))
    );
  }

  #restore({ state, parameters, moments, reference }: Checkpoint): void {
    this.#parameters = parameters;
    this.#optimizer.restore({ step: state.optimizerStep, moments: new Map(moments) });
    this.#baseline.restore(state.baseline);
    this.#liveVersion = state.liveVersion;
    this.#liveDigest = state.liveDigest;
    this.#candidates = [...state.candidateDigests];
    this.lessons.restore(state.lessons ?? []);
    if (this.#settings.referenceEvery === 0 || state.reference === undefined) return;
    this.#referenceVersion = state.reference.version;
    if (reference.size > 0) this.#reference = { digest: state.reference.digest, parameters: reference };
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
