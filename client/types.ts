/** What the client's methods take and give: the contract in the words of TypeScript. */

import type { FieldViolation, HoneClientError } from './errors.js';

export type { FieldViolation };

/** One message of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** A prompt and how to complete it. What is absent takes the server's default. */
export interface GenerateRequest {
  /** A chat, rendered with the model's template; exactly one of `messages` and `prompt` is given. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Text to continue as it stands. */
  readonly prompt?: string | undefined;
  /** Longest completion in tokens. Default 128. */
  readonly maxTokens?: number | undefined;
  /** 0 is greedy. Default 1. */
  readonly temperature?: number | undefined;
  /** In (0, 1]. Default 1 (off). */
  readonly topP?: number | undefined;
  /** Default 0 (off). */
  readonly topK?: number | undefined;
  /** In [0, 1). Default 0 (off). */
  readonly minP?: number | undefined;
  /** Texts that end the completion and are left out of it. */
  readonly stop?: readonly string[] | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly presencePenalty?: number | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly frequencyPenalty?: number | undefined;
  /** In (0, 10]. Default 1 (off). */
  readonly repetitionPenalty?: number | undefined;
  /** Added to the logits, by token id. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Do not end at the end-of-sequence token. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Candidates, 1 to 64. Default 1. */
  readonly n?: number | undefined;
  /** 32-bit unsigned. Default: random. */
  readonly seed?: number | undefined;
  /** Give each token's log-probability. Default false. */
  readonly logprobs?: boolean | undefined;
  /** Alternatives per token, 0 to 20; needs `logprobs`. Default 0. */
  readonly topLogprobs?: number | undefined;
  /** False: neither kept nor learned from. Default true. */
  readonly store?: boolean | undefined;
  /** Whose data it is: an opaque id of the app's. */
  readonly subject?: string | undefined;
  /** Run on this version instead of the live one. */
  readonly version?: number | undefined;
  /** Labels of the app's, kept with the generation. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Why a completion ended. */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error';

/** The likeliest alternatives at one position, likeliest first. */
export interface TopLogprobs {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1, nats. */
  readonly logprobs: readonly number[];
}

/** Tokens and, where asked for, their log-probabilities (nats; empty where not asked for). */
export interface TokenDetails {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1. */
  readonly logprobs: readonly number[];
  /** Under the distribution that was sampled from. */
  readonly sampledLogprobs: readonly number[];
  readonly topLogprobs: readonly TopLogprobs[];
}

/** Which weights answered. */
export interface Identity {
  readonly version: number;
  /** SHA-256, hexadecimal. */
  readonly adapterDigest: string;
  /** SHA-256, hexadecimal. */
  readonly packageDigest: string;
}

/** What a request cost, in tokens. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  readonly cachedPromptTokens: number;
}

/** One whole completion. */
export interface Candidate extends TokenDetails {
  readonly index: number;
  /** By which it is scored. */
  readonly generationId: string;
  readonly text: string;
  readonly finishReason: FinishReason;
}

/** All candidates of a request. */
export interface GenerateResult extends Identity {
  readonly candidates: readonly Candidate[];
  readonly usage: Usage;
}

/** What a stream brings: `started` first, `usage` last. */
export type GenerateEvent =
  | (Identity & {
      readonly type: 'started';
      /** One per candidate, by index; feedback may be given from now on. */
      readonly generationIds: readonly string[];
      readonly promptTokens: number;
      readonly cachedPromptTokens: number;
    })
  | (TokenDetails & { readonly type: 'chunk'; readonly index: number; readonly text: string })
  | { readonly type: 'finished'; readonly index: number; readonly reason: FinishReason }
  | ({ readonly type: 'usage' } & Usage);

/** A score that stands. */
export interface Score {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  readonly createdAtMs: number;
}

/** Where a completion comes from; explored and shadow ones were shown to nobody. */
export type GenerationOrigin = 'sampled' | 'edit' | 'explored' | 'shadow';

/** What is kept of one generation. */
export interface Generation extends Identity {
  readonly generationId: string;
  readonly state: 'running' | 'finished' | 'cancelled' | 'aborted';
  readonly origin: GenerationOrigin;
  /** Of an edit: the generation in whose place it stands; empty for others. */
  readonly editOf: string;
  readonly messages: readonly ChatMessage[];
  readonly prompt: string;
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly logprobs: readonly number[];
  readonly sampledLogprobs: readonly number[];
  /** Absent while it runs. */
  readonly finishReason?: FinishReason;
  readonly subject: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  readonly scores: readonly Score[];
}

/** Figures of the learner; absent ones are not known yet. */
export interface LearnerStatus {
  readonly state: 'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping' | 'paused';
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  readonly scoresSeen: number;
  readonly lastSequence: number;
  readonly loss?: number;
  readonly meanReward?: number;
  /** Nats per completion. */
  readonly kl?: number;
  readonly belowMeanH?: number;
  readonly gradientNorm?: number;
  readonly stepMs?: number;
  readonly restarts: number;
  /** What it may train on. */
  readonly buffer: {
    readonly completions: number;
    readonly groups: number;
    readonly pairs: number;
    /** Generations whose reward waits for a window to close. */
    readonly pending: number;
    readonly oldestAtMs?: number;
    /** The replay ratio in effect. */
    readonly usesPerCompletion?: number;
    /** Completions by staleness in versions, from 0. */
    readonly staleness: readonly number[];
  };
  /** Completions used in the last finished round, by staleness from 0. */
  readonly roundStaleness: readonly number[];
}

/** The files of an adapter by name, such as `adapter_model.safetensors`. */
export type AdapterFiles = Readonly<Record<string, Uint8Array>>;

/** One version of the policy. */
export interface Version {
  readonly lineage: string;
  readonly number: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
  readonly state: 'candidate' | 'shadow' | 'canary' | 'live' | 'retired' | 'rejected';
  readonly origin: 'base' | 'learned' | 'rollback' | 'imported';
  readonly parent?: number;
  readonly createdAtMs: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** What the gate found; empty until it was judged, and for versions that the gate never saw. */
  readonly verdict: readonly CheckResult[];
  /** Why it was rejected; empty where it was not. */
  readonly rejectedBecause: string;
  /** Whether its adapter is still there, or made room for newer ones. */
  readonly weights: 'kept' | 'removed';
}

/** What one check of the gate found. */
export interface CheckResult {
  /** `finite`, `kl`, `health`, `reward_model` or `off_policy`. */
  readonly check: string;
  /** `skipped`: there was too little to go by, or the check is switched off. */
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** In words, for people. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * What becomes of a candidate that has passed the gate. apprentice: it waits for a person; shadow: it answers in the
 * background and waits for a person; canary: it serves a share of traffic until its rewards decide; auto: it goes live.
 */
export type Mode = 'apprentice' | 'shadow' | 'canary' | 'auto';

/** Rewards of one side of a canary. */
export interface CanaryArm {
  /** Generations that were counted, each once. */
  readonly rewards: number;
  /** Absent before the first. */
  readonly meanReward?: number;
}

/** How a canary stands. */
export interface CanaryStatus {
  readonly live: CanaryArm;
  readonly candidate: CanaryArm;
  /** Natural logarithm of the evidence that the candidate is worse. */
  readonly logEvidenceWorse: number;
  /** The same that it is not worse by more than `margin`. */
  readonly logEvidenceNotWorse: number;
  /** Either decides when it reaches this. */
  readonly logEvidenceNeeded: number;
  readonly margin: number;
  /** Fewest rewards of the candidate before it is promoted. */
  readonly minimumRewards: number;
  readonly endsAtMs: number;
}

/** Which way candidates go, and what is on it. */
export interface RolloutStatus {
  readonly mode: Mode;
  /** The version on trial; absent where there is none. */
  readonly trial?: {
    readonly version: number;
    readonly startedAtMs: number;
    /** Of requests, 0 to 1. */
    readonly share: number;
    /** Answers it has begun. */
    readonly answers: number;
    /** Absent for a shadow. */
    readonly canary?: CanaryStatus;
  };
  /** The candidate that is being judged. */
  readonly judging?: number;
  /** The candidate that waits for the judgement or the trial to end. */
  readonly waiting?: number;
}

/** How the scores of one metric count. */
export interface MetricSettings {
  /** The score that is worth 0; larger than `max` where smaller scores are better. */
  readonly min: number;
  /** The score that is worth 1. */
  readonly max: number;
  /** 0 leaves the metric out. */
  readonly weight: number;
  /** From the end of the generation; absent: for ever. */
  readonly windowMs?: number;
  /** The score when none came within the window. */
  readonly defaultScore?: number;
  /** Whether scores count that come, or change, after the window. */
  readonly late: 'use' | 'ignore';
}

/** How the server folds scores into rewards. */
export interface RewardSettings {
  readonly metrics: Readonly<Record<string, MetricSettings>>;
  /** Of metrics that are not named. */
  readonly defaultMetric: MetricSettings;
  /** By rater; 0: does not count. */
  readonly trust: Readonly<Record<string, number>>;
  /** Of raters that are not named. */
  readonly defaultTrust: number;
}

/** What was erased, and what became of the versions. */
export interface ErasureResult {
  readonly generations: number;
  readonly scores: number;
  readonly preferences: number;
  readonly prompts: number;
  /** False where another program kept on reading an old state of the store: its log is cleared later. */
  readonly logCleared: boolean;
  /** Versions that learned from the data, or descend from such. */
  readonly versions: readonly number[];
  /** With `retrain`: the new head; absent where the head had not learned from erased data. */
  readonly head?: Version;
  /** With `retrain`: versions whose adapters were removed. */
  readonly removedWeights: readonly number[];
}

/** Which generations to export, with what hangs on them. */
export interface ExportFilter {
  /** Only those of this subject. */
  readonly subject?: string | undefined;
  /** Only those that were generated then or later, milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  /** Only those with a score. */
  readonly scored?: boolean | undefined;
}

/** A piece of an export. */
export interface ExportPiece {
  /** Bytes of a file of JSON lines. */
  readonly lines: Uint8Array;
  /** Records so far. */
  readonly records: number;
}

/** What became of the records of an import. */
export interface ImportResult {
  readonly imported: number;
  /** There already, with the same content. */
  readonly skipped: number;
  readonly refused: number;
  /** The first 100 of these. */
  readonly refusals: readonly { readonly line: number; readonly error: HoneClientError }[];
}

/** A reward model or function that rates in the background. */
export interface RaterStatus {
  /** The name under which its scores are kept, such as `model:tldr-reward`. */
  readonly rater: string;
  readonly metric: string;
  readonly state: 'starting' | 'running' | 'crashed' | 'off';
  /** Completions since the server started. */
  readonly scored: number;
  /** It had nothing to say, or what it said was no score. */
  readonly unscored: number;
  /** Changes of the store that it has not looked at yet. */
  readonly behind: number;
  /** Of its process. */
  readonly restarts: number;
  /** What went wrong last; empty: nothing since the server started. */
  readonly failure: string;
}

/** The server at a glance. */
export interface ServerStatus {
  readonly serverVersion: string;
  readonly packageName: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly live: Version;
  readonly serving: {
    readonly runningSequences: number;
    readonly queuedRequests: number;
    readonly generatedTokens: number;
    readonly promptTokens: number;
    readonly steps: number;
    readonly heldVersions: readonly number[];
  };
  readonly replay: {
    readonly generations: number;
    readonly finished: number;
    readonly running: number;
    readonly aborted: number;
    readonly scores: number;
    readonly scoredGenerations: number;
    readonly lastSequence: number;
    readonly oldestGenerationAtMs?: number;
    readonly fileBytes: number;
    /** Of these, in use. */
    readonly usedBytes: number;
    /** Bytes in use from which old generations make room; absent: no bound. */
    readonly maxBytes?: number;
    /** Age from which generations go; absent: no bound. */
    readonly maxAgeMs?: number;
    readonly preferences: number;
    readonly edits: number;
  };
  readonly learner: LearnerStatus;
  /** How scores become rewards. */
  readonly reward: RewardSettings;
  /** Reward models and functions that rate in the background. */
  readonly raters: readonly RaterStatus[];
  /** Further candidates of prompts that were answered, drawn while the server is idle and shown to nobody. */
  readonly exploration: {
    /** Of the single requests; 0 is off. */
    readonly share: number;
    /** Per prompt. */
    readonly candidates: number;
    /** Prompts that wait until no request runs. */
    readonly waiting: number;
    /** Completions drawn and kept since the start. */
    readonly kept: number;
    /** Times that drawing ended because a request came. */
    readonly gaveWay: number;
  };
  /** Absent before the first swap since the start. */
  readonly lastSwap?: {
    readonly version: number;
    readonly adapterDigest: string;
    readonly probeVerdict: 'proved' | 'inconclusive' | 'failed';
    readonly probeToNew: number;
    readonly probeToPrevious: number;
    readonly durationMs: number;
    readonly waitedMs: number;
  };
  readonly rollout: RolloutStatus;
}

/** What happened. */
export type HoneEventType =
  | 'server_started'
  | 'server_draining'
  | 'learner_state_changed'
  | 'learner_progress'
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
  | 'rater_failed';

/** One thing that happened. */
export interface HoneEvent {
  /** Grows by one per event, over restarts of the server too. */
  readonly sequence: number;
  readonly atMs: number;
  readonly type: HoneEventType;
  readonly version?: number;
  readonly adapterDigest: string;
  /** In words, for people. */
  readonly detail: string;
  /** Figures by name. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** From where to watch. */
export interface WatchOptions {
  /** The last event already seen; 0 asks for all that are kept. Absent: only what happens from now on. */
  readonly afterSequence?: number;
  /** Only these; absent: all. */
  readonly types?: readonly HoneEventType[];
}
