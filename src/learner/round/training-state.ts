/**
 * The weights in training with everything that belongs to them: optimizer, baseline, the head that they come from, and
 * the candidates made of them that have not become the head yet.
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

/** Candidates that may still become the head: the gate may be busy with one while many are offered. */
const maxCandidates = 256;

export class TrainingState {
  readonly #settings: LearnerSettings;
  readonly #engine: Pick<TrainingEngine, 'promptFeatures'>;
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

  /** @param engine what the weights are of; it describes prompts to the baseline */
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
   * @param recorded digest of that adapter
   * @param rolledBack whether that version is a rollback: nothing that was offered continues it
   * @param fromCheckpoint continue with this where the head is the one that it was written under
   * @returns whether the weights are still the ones from before (or from the checkpoint)
   * @throws HoneError `ADAPTER_INVALID` (also where the files hold other weights than recorded), `ADAPTER_MISMATCH`
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
    await this.goBack(adapterPath);
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
    await this.goBack(adapterPath);
    return true;
  }

  /** Generations that are remembered one by one, for what they taught or as what V(x) was fitted on. */
  remembered(): string[] {
    return [...new Set([...this.lessons.all(), ...this.#baseline.generationIds()])];
  }

  /** Forgets the others: they are gone from the store. */
  retain(existing: ReadonlySet<string>): void {
    this.lessons.retain(existing);
    this.#baseline.retain(existing);
  }

  /**
   * Gives the weights up for the head's.
   * @param adapterPath directory of the head's adapter; null is the zero adapter
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`
   */
  async goBack(adapterPath: string | null): Promise<void> {
    this.#reset(adapterPath === null ? null : (await readRecorded(adapterPath, this.#liveDigest)).adapter);
  }

  /** What a checkpoint must hold of this. */
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

  /** Where it is time, or where the head went back, the live version becomes the reference. */
  #moveReference(adapter: Adapter, digest: string, wentBack: boolean): void {
    const { referenceEvery } = this.#settings;
    if (referenceEvery === 0) return;
    if (!wentBack && this.#liveVersion - this.#referenceVersion < referenceEvery) return;
    this.#referenceVersion = this.#liveVersion;
    if (digest === this.#reference.digest) return;
    this.#reference = { digest, parameters: parametersFrom(adapter, this.#targets, this.#settings) };
    // What was observed of R_beta was measured against another reference.
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

/** Files that hold a whole adapter may still hold another one than the version's. */
async function readRecorded(path: string, recorded: string): Promise<StoredAdapter> {
  const stored = await readAdapter(path);
  if (stored.digest === recorded) return stored;
  throw new HoneError(
    'ADAPTER_INVALID',
    `the adapter in ${path} has digest ${stored.digest}, the live version was recorded with ${recorded}: its files were ` +
      'exchanged; put them back, or roll back to another version',
  );
}
