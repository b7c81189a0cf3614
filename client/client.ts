/** The client: one method per thing that can be asked of a Hone server. */

import { services } from '../proto/contract.js';
import { toChunks } from '../proto/file-chunks.js';
import {
  toErasureResult,
  toEvent,
  toExplanation,
  toFeedbackOutcome,
  toGenerateEvents,
  toGenerateResult,
  toGeneration,
  toImportResult,
  toLearnerStatus,
  toRolloutStatus,
  toServerStatus,
  toVersion,
} from './answers.js';
import type { CallOptions, Calls } from './calls.js';
import { HoneClientError } from './errors.js';
import { FeedbackStream, type FeedbackStreamOptions } from './feedback-stream.js';
import { fromChunks } from './files.js';
import { type Health, healthCheck, toHealth } from './health.js';
import { toFeedbackMessage, toGenerateMessage, toModeMessage, toWatchMessage } from './requests.js';
import type {
  AdapterFiles,
  ErasureResult,
  Explanation,
  ExportFilter,
  ExportPiece,
  FeedbackItem,
  FeedbackOutcome,
  GenerateEvent,
  GenerateRequest,
  GenerateResult,
  Generation,
  HoneEvent,
  ImportResult,
  LearnerStatus,
  Mode,
  RolloutStatus,
  ServerStatus,
  Version,
  WatchOptions,
} from './types/index.js';

/** Default of an erasure: a large store is read through once. */
const erasureTimeoutMs = 600_000;

export class HoneClient {
  readonly #calls: Calls;

  /** Use `connect`. */
  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Completes a prompt and waits for the whole answer. Tried again only where the server had not begun. */
  async generate(request: GenerateRequest, options: CallOptions = {}): Promise<GenerateResult> {
    const message = toGenerateMessage(request);
    return toGenerateResult(await this.#calls.unary(services.generation.Generate, message, 'unstarted', options));
  }

  /** Completes a prompt token by token. Leaving the loop, or aborting the signal, ends the work on the server. */
  async *stream(request: GenerateRequest, options: CallOptions = {}): AsyncGenerator<GenerateEvent, void, undefined> {
    const message = toGenerateMessage(request);
    const parts = this.#calls.serverStream(services.generation.StreamGenerate, message, 'unstarted', options);
    for await (const part of parts) yield* toGenerateEvents(part);
  }

  /** What is kept of one generation. @throws HoneClientError `GENERATION_NOT_FOUND` */
  async getGeneration(generationId: string, options: CallOptions = {}): Promise<Generation> {
    const { GetGeneration } = services.generation;
    return toGeneration((await this.#calls.unary(GetGeneration, { generationId }, 'idempotent', options)).generation);
  }

  /**
   * Writes feedback: scores, preferences, edits. The outcomes, in the order of the items, are on disk when it resolves. A refused item does not
   * disturb its neighbours; only where every item is refused does the call itself fail.
   */
  async feedback(
    items: FeedbackItem | readonly FeedbackItem[],
    options: CallOptions = {},
  ): Promise<readonly FeedbackOutcome[]> {
    // The keys are minted here, once, so that every try carries the same.
    const message = { items: [items].flat().map(toFeedbackMessage) };
    const { SubmitFeedback } = services.feedback;
    const { outcomes } = await this.#calls.unary(SubmitFeedback, message, 'idempotent', options);
    return outcomes.map(toFeedbackOutcome);
  }

  /** Opens a stream for feedback. Close it to wait for the last acknowledgement. */
  feedbackStream(options: CallOptions & FeedbackStreamOptions = {}): FeedbackStream {
    return new FeedbackStream(this.#calls.duplexStream(services.feedback.StreamFeedback, options), options);
  }

  /** Why a generation is worth what it is, and what came of it. @throws HoneClientError `GENERATION_NOT_FOUND` */
  async explain(generationId: string, options: CallOptions = {}): Promise<Explanation> {
    const { ExplainGeneration } = services.feedback;
    return toExplanation(await this.#calls.unary(ExplainGeneration, { generationId }, 'idempotent', options));
  }

  /** One snapshot of everything. */
  async status(options: CallOptions = {}): Promise<ServerStatus> {
    return toServerStatus(await this.#calls.unary(services.status.GetServerStatus, {}, 'idempotent', options));
  }

  /** State and figures of the learner. */
  async learnerStatus(options: CallOptions = {}): Promise<LearnerStatus> {
    const { GetLearnerStatus } = services.learner;
    return toLearnerStatus((await this.#calls.unary(GetLearnerStatus, {}, 'idempotent', options)).learner);
  }

  /** All versions, newest first, fetched page by page. */
  async *versions(
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<Version, void, undefined> {
    const { ListVersions } = services.versions;
    let pageToken = '';
    do {
      const request = { pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#calls.unary(ListVersions, request, 'idempotent', options);
      yield* page.versions.map(toVersion);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** One version. @throws HoneClientError `VERSION_NOT_FOUND` */
  async version(number: number, options: CallOptions = {}): Promise<Version> {
    const { GetVersion } = services.versions;
    return toVersion((await this.#calls.unary(GetVersion, { number }, 'idempotent', options)).version);
  }

  /**
   * The files of a version's adapter in PEFT's layout; the zero adapter of a base.
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` where its adapter was removed
   */
  exportVersion(number: number, options: CallOptions = {}): Promise<AdapterFiles> {
    return fromChunks(this.#calls.serverStream(services.versions.ExportVersion, { number }, 'idempotent', options));
  }

  /**
   * Makes an adapter a candidate: files that {@link HoneClient.exportVersion} gave, or those of an adapter of Python's
   * `peft` for the same model. Resolves when it is on disk; whether it goes live is told by its state and by events.
   * Never tried again by itself.
   * @throws HoneClientError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `INVALID_REQUEST` where it is too large
   */
  async importVersion(files: AdapterFiles, options: CallOptions = {}): Promise<Version> {
    const requests = [...toChunks(files)].map((chunk) => ({ chunk }));
    return toVersion((await this.#calls.clientStream(services.admin.ImportVersion, requests, options)).version);
  }

  /** Serves the weights of an older version as a new head, which it gives back. Never tried again by itself. */
  async rollback(number: number, options: CallOptions = {}): Promise<Version> {
    const { Rollback } = services.admin;
    return toVersion((await this.#calls.unary(Rollback, { number }, 'never', options)).version);
  }

  /** Which way candidates go, and what is on trial. */
  async mode(options: CallOptions = {}): Promise<RolloutStatus> {
    return toRolloutStatus((await this.#calls.unary(services.admin.GetMode, {}, 'idempotent', options)).rollout);
  }

  /** Sets the mode for candidates from now on, and for the version on trial; kept over restarts of the server. */
  async setMode(mode: Mode, options: CallOptions = {}): Promise<RolloutStatus> {
    const message = toModeMessage(mode);
    return toRolloutStatus((await this.#calls.unary(services.admin.SetMode, message, 'idempotent', options)).rollout);
  }

  /**
   * Makes a candidate, or the version on trial, live. Never tried again by itself.
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (not a candidate, or not judged yet)
   */
  async promote(number: number, options: CallOptions = {}): Promise<Version> {
    const { PromoteVersion } = services.admin;
    return toVersion((await this.#calls.unary(PromoteVersion, { number }, 'never', options)).version);
  }

  /**
   * Turns a candidate, or the version on trial, down for good. Never tried again by itself.
   * @param reason kept with the version. Default: a person said so
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  async reject(number: number, reason = '', options: CallOptions = {}): Promise<Version> {
    const { RejectVersion } = services.admin;
    return toVersion((await this.#calls.unary(RejectVersion, { number, reason }, 'never', options)).version);
  }

  /**
   * Erases whatever is kept of a subject; on disk when it resolves. Requests of that subject that run are ended.
   * @throws HoneClientError `INVALID_REQUEST`
   */
  async eraseSubject(
    subject: string,
    { retrain = false, ...options }: CallOptions & { readonly retrain?: boolean } = {},
  ): Promise<ErasureResult> {
    // Erasing takes as long as it takes, unless the caller knows better.
    const call = { timeoutMs: erasureTimeoutMs, ...options };
    return toErasureResult(
      await this.#calls.unary(services.admin.EraseSubject, { subject, retrain }, 'idempotent', call),
    );
  }

  /** What is stored, as pieces of a file of JSON lines, no faster than they are read. Tried again only before the first. */
  async *exportReplay(options: CallOptions & ExportFilter = {}): AsyncGenerator<ExportPiece, void, undefined> {
    const { subject = '', sinceMs, scored = false } = options;
    const request = { subject, scored, ...(sinceMs === undefined ? {} : { sinceMs }) };
    yield* this.#calls.serverStream(services.admin.ExportReplay, request, 'idempotent', options);
  }

  /**
   * Takes in the pieces of such a file, up to a MiB each, no faster than the server writes. Never tried again by itself;
   * doing it again is safe: what is there is skipped.
   */
  async importReplay(
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<ImportResult> {
    async function* requests() {
      for await (const data of pieces) yield { data: Buffer.from(data.buffer, data.byteOffset, data.byteLength) };
    }
    return toImportResult(await this.#calls.clientStream(services.admin.ImportReplay, requests(), options));
  }

  /** Stops the learner after its step and a checkpoint. @throws HoneClientError `LEARNER_OFF` */
  async pauseLearner(options: CallOptions = {}): Promise<LearnerStatus> {
    const { PauseLearner } = services.admin;
    return toLearnerStatus((await this.#calls.unary(PauseLearner, {}, 'idempotent', options)).learner);
  }

  /** Starts a paused learner again, or one that has stopped itself. @throws HoneClientError `LEARNER_OFF` */
  async resumeLearner(options: CallOptions = {}): Promise<LearnerStatus> {
    const { ResumeLearner } = services.admin;
    return toLearnerStatus((await this.#calls.unary(ResumeLearner, {}, 'idempotent', options)).learner);
  }

  /**
   * Events until the loop is left or the signal aborts. A lost connection is taken up again after the last event seen;
   * it gives up after as many failures in a row as `retry.maxAttempts` says.
   */
  async *watchEvents(options: CallOptions & WatchOptions = {}): AsyncGenerator<HoneEvent, void, undefined> {
    const retries = this.#calls.retries(options);
    let seen = options.afterSequence;
    for (;;) {
      try {
        const request = toWatchMessage(seen, options.types);
        for await (const message of this.#calls.serverStream(services.events.WatchEvents, request, 'never', options)) {
          retries.reset();
          for (const event of message.events) {
            seen = event.sequence;
            yield toEvent(event);
          }
        }
        return;
      } catch (thrown) {
        await retries.waitOrThrow(HoneClientError.from(thrown), 'idempotent', undefined, options.signal);
      }
    }
  }

  /** What the server, or one of its services, says of its own health. */
  async health(service = '', options: CallOptions = {}): Promise<Health> {
    return toHealth((await this.#calls.unary(healthCheck, { service }, 'idempotent', options)).status);
  }

  /** Closes the connection; calls that run are cut. */
  close(): void {
    this.#calls.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
