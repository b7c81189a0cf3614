/** The replay store as other folders see it: what is kept of generations and scores, and what each write promises. */

export type GenerationState = 'running' | 'finished' | 'cancelled' | 'aborted';

/** What is known when a generation is admitted, before its first token. */
export interface GenerationAdmission {
  /** UUIDv7. */
  readonly id: string;
  /** hash(package digest, prompt tokens): all completions of one prompt form a group. */
  readonly groupKey: string;
  readonly packageDigest: string;
  readonly version: number;
  readonly adapterDigest: string;
  readonly promptTokens: Uint32Array;
  /** The request's prompt or messages as JSON, for people, export and reward models. */
  readonly promptJson: string;
  /** Sampling settings as JSON. */
  readonly samplingJson: string;
  /** Whose data it is; empty when the app did not say. */
  readonly subject: string;
  readonly createdAtMs: number;
}

/** What is known when it ends. */
export interface GenerationCompletion {
  readonly id: string;
  readonly state: 'finished' | 'cancelled' | 'aborted';
  readonly finishReason: string;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Log-softmax at temperature 1, one per token. */
  readonly logprobs: Float32Array;
  /** Under the distribution actually sampled, one per token. */
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number;
}

export interface Generation extends GenerationAdmission {
  readonly state: GenerationState;
  readonly finishReason: string | null;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  readonly logprobs: Float32Array;
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number | null;
}

/** A score is keyed by (generation, rater, metric): a second one replaces the first. */
export interface ScoreKey {
  readonly generationId: string;
  readonly rater: string;
  readonly metric: string;
}

export interface ScoreWrite extends ScoreKey {
  /** Finite; `null` retracts the score. */
  readonly value: number | null;
  /** Empty when the client sent none. Same key and content: the stored answer; other content: `IDEMPOTENCY_CONFLICT`. */
  readonly idempotencyKey: string;
  readonly createdAtMs: number;
}

export interface Score extends ScoreKey {
  readonly value: number;
  readonly createdAtMs: number;
  /** Sequence number of the change that wrote it. */
  readonly sequence: number;
}

/** The outcome of one score write; a bad item never rejects its neighbours. */
export type ScoreOutcome =
  | { readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate'; readonly sequence: number }
  | {
      readonly status: 'refused';
      readonly code: 'GENERATION_NOT_FOUND' | 'IDEMPOTENCY_CONFLICT' | 'INVALID_REQUEST';
      readonly message: string;
    };

/** Everything that can change what the learner may learn from, in order. */
export type ReplayChange =
  | { readonly sequence: number; readonly type: 'generation'; readonly generationId: string }
  | {
      readonly sequence: number;
      readonly type: 'score';
      readonly generationId: string;
      readonly rater: string;
      readonly metric: string;
      readonly value: number | null;
    };

export interface ReplayStats {
  readonly generations: number;
  readonly finished: number;
  readonly running: number;
  readonly aborted: number;
  readonly scores: number;
  readonly scoredGenerations: number;
  readonly lastSequence: number;
  readonly oldestGenerationAtMs: number | null;
  readonly fileBytes: number;
}

/** Reads; opened by the learner on a read-only connection in short transactions, without SQL of its own. */
export interface ReplayReader {
  /** Changes after `sequence`, in order, at most `limit`. */
  readSince(sequence: number, limit: number): ReplayChange[];
  readGenerations(ids: readonly string[]): Generation[];
  readScores(generationIds: readonly string[]): Score[];
  lastSequence(): number;
  close(): void;
}

/** The only writer, in a worker; every promise says what is on disk when it resolves. */
export interface ReplayStore {
  /** On disk (FULL commit) when it resolves; only then may a first token leave. */
  admit(generations: readonly GenerationAdmission[]): Promise<void>;
  /** On disk when it resolves; only then may the final message leave. */
  complete(generations: readonly GenerationCompletion[]): Promise<void>;
  /** On disk when it resolves: outcomes in the order of the items. @throws HoneError `STORE_FULL` */
  score(items: readonly ScoreWrite[]): Promise<ScoreOutcome[]>;
  readGenerations(ids: readonly string[]): Promise<Generation[]>;
  readScores(generationIds: readonly string[]): Promise<Score[]>;
  stats(): Promise<ReplayStats>;
  /** Waits for the writes in flight, checkpoints the log and closes the file. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
