/** The agent's words: what the doors may ask of the loop and what it answers. No transport is known here. */

import type { HoneError } from '../errors.js';
import type { LearnerReport } from '../learner/process/report.js';
import type { LearnerEvent, LiveHead } from '../learner/types.js';
import type { FinishReason, PolicyStats, SwapReport, TopLogprob } from '../policy/types.js';
import type { ExportFilter } from '../replay/index.js';
import type { Generation, ReplayStats, Score } from '../replay/types.js';
import type { RewardSettings } from '../reward/index.js';
import type { AdapterFiles } from '../versions/index.js';
import type { Version } from '../versions/types.js';
import type { ErasureResult } from './erasure.js';
import type { Explanation } from './explain.js';
import type { RaterStanding } from './feedback/background-rater.js';
import type { ExplorationReport } from './generation/exploration.js';
import type { Mode } from './rollout/modes.js';
import type { RolloutStanding } from './rollout/rollout.js';
import type { ExportedLines, ReplayImport } from './transfer.js';

/** Sampling settings as a caller gives them; what is absent takes its default (see `requests.ts`). */
export interface SamplingInput {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly minP?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly ignoreEos?: boolean | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly logitBias?: Readonly<Record<string, number>> | undefined;
}

/** A prompt and how to complete it, unchecked. Exactly one of `messages` and `prompt` is given. */
export interface GenerateInput {
  readonly messages?: readonly { readonly role: string; readonly content: string }[] | undefined;
  readonly prompt?: string | undefined;
  readonly sampling?: SamplingInput | undefined;
  readonly n?: number | undefined;
  readonly seed?: number | undefined;
  readonly logprobs?: boolean | undefined;
  readonly topLogprobs?: number | undefined;
  readonly store?: boolean | undefined;
  readonly subject?: string | undefined;
  readonly version?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** First event of a request: its generations are on disk (unless `store` was false), so feedback may be given. */
export interface StartedEvent {
  readonly type: 'started';
  /** UUIDv7, one per candidate, by index. */
  readonly generationIds: readonly string[];
  readonly version: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
  readonly promptTokens: number;
  readonly cachedPromptTokens: number;
}

/** What a step brought for one candidate; the log-probabilities are there only where they were asked for. */
export interface ChunkEvent {
  readonly type: 'chunk';
  readonly candidate: number;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly logprobs?: readonly number[];
  readonly sampledLogprobs?: readonly number[];
  readonly topLogprobs?: readonly (readonly TopLogprob[])[];
}

export interface CandidateEndedEvent {
  readonly type: 'finished';
  readonly candidate: number;
  readonly reason: FinishReason;
}

/** Last event of a request: its generations are on disk, whole. */
export interface EndedEvent {
  readonly type: 'ended';
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedPromptTokens: number;
}

export type AgentEvent = StartedEvent | ChunkEvent | CandidateEndedEvent | EndedEvent;

/** One piece of feedback as a caller gives it, unchecked; exactly one of score, retraction, preference and edit. */
export interface FeedbackInput {
  readonly generationId: string;
  readonly score?: number | undefined;
  /** Takes the score back. */
  readonly retraction?: boolean | undefined;
  /** How the generation compares with another one of the same prompt. */
  readonly preference?: { readonly otherGenerationId: string; readonly outcome: string } | undefined;
  /** A person's own text in its place. */
  readonly edit?: { readonly text: string; readonly score?: number | undefined } | undefined;
  /** Default `default`. */
  readonly rater?: string | undefined;
  /** Default `score`. */
  readonly metric?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

export type FeedbackKind = 'score' | 'preference' | 'edit';

/** What became of one item; it is on disk unless it was refused. */
export type FeedbackResult =
  | {
      readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate';
      readonly sequence: number;
      /** Of an edit: the generation that it became. */
      readonly generationId?: string;
    }
  | { readonly status: 'refused'; readonly error: HoneError };

/** What happens in the loop; the same words as the contract's `EventType`. */
export type LoopEventType =
  | 'server_started'
  | 'server_draining'
  | 'learner_state_changed'
  | 'learner_progress'
  | 'learner_setback'
  | 'learner_starved'
  | 'version_created'
  | 'version_promoted'
  | 'version_rejected'
  | 'version_rolled_back'
  | 'worker_restarted'
  | 'store_failed'
  | 'version_judged'
  | 'canary_started'
  | 'canary_ended'
  | 'mode_changed'
  | 'shadow_started'
  | 'shadow_ended'
  | 'adapters_removed'
  | 'replay_evicted'
  | 'subject_erased'
  | 'learner_engine_opened'
  | 'rater_failed';

/** One thing that happened. No text of prompts or completions. */
export interface LoopEvent {
  /** Grows by one per event, over restarts too. */
  readonly sequence: number;
  readonly atMs: number;
  readonly type: LoopEventType;
  readonly version?: number;
  readonly adapterDigest?: string;
  /** In words, for people. */
  readonly detail?: string;
  /** Figures by name, units in the names. */
  readonly numbers?: Readonly<Record<string, number>>;
}

/** From where to watch: after a sequence number (0: everything kept), or from now on when absent. */
export interface WatchOptions {
  readonly afterSequence?: number | undefined;
  /** Only these; all when empty. */
  readonly types?: readonly LoopEventType[] | undefined;
}

/** One snapshot of everything. */
export interface AgentStatus {
  readonly packageName: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly live: Version;
  readonly serving: PolicyStats;
  readonly replay: ReplayStats;
  readonly learner: LearnerReport;
  readonly exploration: ExplorationReport;
  /** How scores become rewards. */
  readonly reward: RewardSettings;
  /** Reward models and functions that rate in the background. */
  readonly raters: readonly RaterStanding[];
  /** The last swap since the start; `null` before the first. */
  readonly lastSwap: SwapReport | null;
  /** Which way candidates go, and what is on trial. */
  readonly rollout: RolloutStanding;
}

/** Which weights answer now: what every door sends along with each call. */
export interface ServedIdentity {
  readonly version: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
}

export interface VersionPage {
  /** Newest first. */
  readonly versions: readonly Version[];
  /** Asks for the next page; empty on the last. */
  readonly nextPageToken: string;
}

/** A generation and the scores that stand. */
export interface StoredGeneration {
  readonly generation: Generation;
  readonly scores: readonly Score[];
}

export type { LearnerReport };

/** The learner process as the agent holds it. */
export interface Learner {
  report(): LearnerReport;
  /** The head moved: train on from these weights. */
  live(head: LiveHead): void;
  /** A version that it offered will never serve: where it trained on from it, it goes back to the live weights. */
  rejected(adapterDigest: string): void;
  /** Learn from everything that the store still holds as if for the first time. */
  relearn(): void;
  /** Somebody's data was erased: what was trained on it is given up for the live weights. */
  erased(): void;
  /** The store has changed: look again. */
  changed(): void;
  /** Finishes the step in flight, writes the checkpoint, ends the process; scores are still taken. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  onEvent(listener: (event: LearnerEvent) => void): void;
}

/** The loop: admit, generate, record, score, learn, swap. */
export interface Agent {
  /**
   * Runs a request. The first event is `started`, the last `ended`; leaving early, or aborting the signal, frees the
   * slots within a step and records the generations as cancelled.
   * @throws HoneError `INVALID_REQUEST`, `PROMPT_TOO_LONG`, `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`, `QUEUE_FULL`,
   * `WORKER_CRASHED`, `STORE_FULL`, `DRAINING`, and after an abort its reason where that is a HoneError, else `CANCELLED`
   */
  generate(input: GenerateInput, signal?: AbortSignal): AsyncIterable<AgentEvent>;
  /** Outcomes in the order of the items, on disk. @throws HoneError `INVALID_REQUEST`, `STORE_FULL`, `QUEUE_FULL`, `DRAINING` */
  feedback(items: readonly FeedbackInput[]): Promise<FeedbackResult[]>;
  /** @throws HoneError `GENERATION_NOT_FOUND`, `INVALID_REQUEST` */
  getGeneration(id: string): Promise<StoredGeneration>;
  /** Why it is worth what it is, and what came of it. @throws HoneError `GENERATION_NOT_FOUND`, `INVALID_REQUEST` */
  explainGeneration(id: string): Promise<Explanation>;
  listVersions(pageSize: number, pageToken: string): VersionPage;
  /** @throws HoneError `VERSION_NOT_FOUND` */
  getVersion(number: number): Version;
  /** Serves the weights of an older version as a new head. @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` */
  rollback(number: number): Promise<Version>;
  /** Which way candidates go, and what is on trial. */
  rollout(): RolloutStanding;
  /** Sets the mode for candidates from now on, and for the version on trial; on disk when it resolves. @throws HoneError `STORE_FULL`, `DRAINING` */
  setMode(mode: Mode): Promise<RolloutStanding>;
  /**
   * Makes a candidate, or the version on trial, live.
   * @throws HoneError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (not a candidate, or not judged yet), `ADAPTER_INVALID`
   */
  promoteVersion(number: number): Promise<Version>;
  /**
   * Turns a candidate, or the version on trial, down for good.
   * @param reason kept with the version
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
   * Makes an adapter from elsewhere a candidate, on disk when it resolves; then it goes the way of a trained one, of
   * which events tell.
   * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `VERSION_NOT_SERVABLE` (the policy serves no adapters),
   * `STORE_FULL`, `DRAINING`
   */
  importVersion(files: AdapterFiles): Promise<Version>;
  /**
   * Erases whatever is kept of a subject; on disk when it resolves. Requests of that subject that run are ended with
   * `CANCELLED`; what runs in the background for it ends by itself and is kept nowhere.
   * @param retrain whether versions that learned from erased data make way for what is learned without it
   * @throws HoneError `INVALID_REQUEST`, `STORE_FULL`, `DRAINING`
   */
  eraseSubject(subject: string, retrain: boolean): Promise<ErasureResult>;
  /** What is stored, as lines of JSON (`docs/replay.md`), no faster than they are read. @throws HoneError `DRAINING` */
  exportReplay(filter: ExportFilter): AsyncIterable<ExportedLines>;
  /** Takes such lines in. @throws HoneError `DRAINING` */
  importReplay(): ReplayImport;
  learnerReport(): LearnerReport;
  /** @throws HoneError `LEARNER_OFF` */
  pauseLearner(): Promise<LearnerReport>;
  /** @throws HoneError `LEARNER_OFF` */
  resumeLearner(): Promise<LearnerReport>;
  /** Batches in order, until the signal aborts. @throws HoneError `EVENTS_NOT_FOUND`, `DRAINING` when the agent closes */
  watchEvents(options: WatchOptions, signal?: AbortSignal): AsyncIterable<readonly LoopEvent[]>;
  identity(): ServedIdentity;
  status(): Promise<AgentStatus>;
  /** Refuses new requests, waits for the running ones up to the grace, then cuts them off. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
