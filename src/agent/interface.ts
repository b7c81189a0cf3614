/** The agent as the doors see it: what they may ask of the loop, and what it answers. No transport is known here. */

import type { HoneError } from '../errors.js';
import type { LearnerStatus } from '../learner/index.js';
import type { PolicyStatus, SwapReport } from '../policy/index.js';
import type { ExportFilter, Generation, ReplayStatus, Score } from '../replay/index.js';
import type { RewardSettings } from '../reward/index.js';
import type { AdapterFiles, Version } from '../versions/index.js';
import type { ErasureResult } from './erasure.js';
import type { LoopEvent, WatchOptions } from './events/types.js';
import type { Explanation } from './explain.js';
import type { RaterStatus } from './feedback/background-rater.js';
import type { ScoresOutside } from './feedback/stored-ranges.js';
import type { FeedbackInput, FeedbackResult } from './feedback/types.js';
import type { ExplorationStatus } from './generation/exploration.js';
import type { AgentEvent, GenerateInput } from './generation/types.js';
import type { ServedIdentity } from './rollout/live-version.js';
import type { Mode } from './rollout/modes.js';
import type { RolloutStatus } from './rollout/rollout.js';
import type { ExportedLines, ReplayImport } from './transfer.js';

/** One snapshot of everything. */
export interface AgentStatus {
  readonly packageName: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly live: Version;
  readonly serving: PolicyStatus;
  /** The figures are the last that are known, and zeros if none are. */
  readonly replay: ReplayStatus;
  /** Why the store does not answer, or takes no writes; null while all is well. */
  readonly replayFailure: HoneError | null;
  readonly learner: LearnerStatus;
  readonly exploration: ExplorationStatus;
  /** How scores become rewards. */
  readonly reward: RewardSettings;
  /** Reward models and functions that rate in the background. */
  readonly raters: readonly RaterStatus[];
  /** Scores outside the range of their metric that the store held at the start, by metric. They do not count. */
  readonly scoresOutsideRange: readonly ScoresOutside[];
  /** The last swap since the start; `null` before the first. */
  readonly lastSwap: SwapReport | null;
  /** The mode, and the candidates on their way. */
  readonly rollout: RolloutStatus;
}

export interface VersionPage {
  /** Newest first. */
  readonly versions: readonly Version[];
  /** Asks for the next page; empty on the last. */
  readonly nextPageToken: string;
}

/** A generation and the scores that count for it. */
export interface StoredGeneration {
  readonly generation: Generation;
  readonly scores: readonly Score[];
}

/** Answers requests. */
export interface Answering {
  /**
   * Runs a request. The first event is `started`, the last `ended`. If the caller leaves early or the signal aborts,
   * the slots are free within a step, and the generations are stored as cancelled.
   * @throws HoneError `INVALID_REQUEST`, `PROMPT_TOO_LONG`, `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `QUEUE_FULL`,
   * `WORKER_CRASHED`, `STORE_FULL`, `STORE_BUSY`, `DRAINING`; after an abort its reason if that is a HoneError, else `CANCELLED`
   */
  generate(input: GenerateInput, signal?: AbortSignal): AsyncIterable<AgentEvent>;
}

/** Takes feedback on generations, and shows what is stored of them. */
export interface Generations {
  /**
   * Outcomes in the order of the items, on disk.
   * @param firstIndex index of the first item in the caller's message, for the errors to name. Default 0
   * @throws HoneError `INVALID_REQUEST`, `STORE_FULL`, `STORE_BUSY`, `QUEUE_FULL`, `DRAINING`
   */
  feedback(items: readonly FeedbackInput[], firstIndex?: number): Promise<FeedbackResult[]>;
  /** @throws HoneError `GENERATION_NOT_FOUND`, `INVALID_REQUEST` */
  getGeneration(id: string): Promise<StoredGeneration>;
  /**
   * Explains a generation's reward and what was learned from it.
   * @throws HoneError `GENERATION_NOT_FOUND`, `INVALID_REQUEST`
   */
  explainGeneration(id: string): Promise<Explanation>;
}

/** Lists versions, and decides which of them serve. */
export interface VersionControl {
  listVersions(pageSize: number, pageToken: string): VersionPage;
  /** @throws HoneError `VERSION_NOT_FOUND` */
  getVersion(number: number): Version;
  /**
   * Serves the weights of an older version as a new version.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  rollback(number: number): Promise<Version>;
  /** The mode, and the candidates on their way. */
  rollout(): RolloutStatus;
  /**
   * Sets the mode for later candidates and for the version on trial; on disk when it resolves.
   * @throws HoneError `STORE_FULL`, `DRAINING`
   */
  setMode(mode: Mode): Promise<RolloutStatus>;
  /**
   * Makes a candidate, or the version on trial, live.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (not a candidate, or not judged yet), `ADAPTER_INVALID`
   */
  promoteVersion(number: number): Promise<Version>;
  /**
   * Rejects a candidate, or the version on trial, for good.
   * @param reason stored with the version
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `INVALID_REQUEST`
   */
  rejectVersion(number: number, reason: string): Promise<Version>;
  /**
   * The files of a version's adapter in PEFT's layout.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (removed), `ADAPTER_MISMATCH` (another package's),
   * `ADAPTER_INVALID` (damaged)
   */
  exportVersion(number: number): Promise<AdapterFiles>;
  /** Bytes of the largest adapter, all files together, that can be imported. */
  readonly maxImportBytes: number;
  /**
   * Makes an adapter from elsewhere a candidate, on disk when it resolves. Then it goes the way of a trained one, and
   * events report what becomes of it.
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `VERSION_NOT_SERVABLE` (the policy serves no adapters),
   * `STORE_FULL`, `DRAINING`
   */
  importVersion(files: AdapterFiles): Promise<Version>;
}

/** Erases data, and moves it in and out. */
export interface DataControl {
  /**
   * Erases all data of a subject; on disk when it resolves. Running requests of that subject end with `CANCELLED`.
   * Background draws for it end by themselves and are not stored.
   * @param retrain whether versions that learned from erased data are replaced by what is learned without it
   * @throws HoneError `INVALID_REQUEST`, `STORE_FULL`, `STORE_BUSY`, `DRAINING`
   */
  eraseSubject(subject: string, retrain: boolean): Promise<ErasureResult>;
  /**
   * Completes the erasures that a crash, or a failure, interrupted. Call it before calls are taken. What fails is reported
   * by an event and tried again; never rejects.
   */
  settleErasures(): Promise<void>;
  /**
   * Stored records as lines of JSON (`docs/replay.md`), no faster than the caller reads them.
   * @throws HoneError `DRAINING`
   */
  exportReplay(filter: ExportFilter): AsyncIterable<ExportedLines>;
  /** Takes such lines in. @throws HoneError `DRAINING` */
  importReplay(): ReplayImport;
}

export interface LearnerControl {
  learnerStatus(): LearnerStatus;
  /** @throws HoneError `LEARNER_OFF` */
  pauseLearner(): Promise<LearnerStatus>;
  /** @throws HoneError `LEARNER_OFF` */
  resumeLearner(): Promise<LearnerStatus>;
}

/** The loop: answers requests, takes feedback, learns, swaps. */
export interface Agent extends Answering, Generations, VersionControl, DataControl, LearnerControl, AsyncDisposable {
  /**
   * Batches in order, until the signal aborts.
   * @throws HoneError `EVENTS_NOT_FOUND`, `DRAINING` when the agent closes
   */
  watchEvents(options: WatchOptions, signal?: AbortSignal): AsyncIterable<readonly LoopEvent[]>;
  /** The number of the newest event; 0 if there was none. */
  lastEvent(): number;
  identity(): ServedIdentity;
  /** Reward models and functions that rate in the background. */
  raters(): readonly RaterStatus[];
  status(): Promise<AgentStatus>;
  /** Refuses new requests, waits up to the grace for the running ones, then ends them. Idempotent. */
  close(): Promise<void>;
}
