/** The client: one method per call of a Hone server. */

import type { Metadata } from '@grpc/grpc-js';
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
import { type Calls, streamDeadline } from './calls.js';
import { checkArguments, checkFeedbackItems, checkGenerateRequest, checkOptions } from './check-arguments.js';
import { HoneClientError } from './errors.js';
import { FeedbackStream } from './feedback-stream.js';
import { fromChunks } from './files.js';
import { type Health, healthCheck, toHealth } from './health.js';
import { toFeedbackMessage, toGenerateMessage, toModeMessage, toWatchMessage } from './requests.js';
import type { Retries } from './retry.js';
import type {
  AdapterFiles,
  CallOptions,
  ErasureResult,
  Explanation,
  ExportFilter,
  ExportPiece,
  FeedbackItem,
  FeedbackOutcome,
  FeedbackStreamOptions,
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

/** Time after which a watch counts as one that works. */
const settledMs = 5000;

/** Default deadline of an erasure, which reads a large store once. */
const erasureTimeoutMs = 600_000;

/** The options of an attempt of a stream, which keeps the deadline of the first one and the end of all retries. */
function attempt(options: CallOptions, deadlineMs: number | undefined, retries: Retries): CallOptions {
  const now = Date.now();
  const retry = { ...options.retry, maxElapsedMs: Math.max(0, retries.giveUpAtMs - now) };
  return { ...options, retry, ...(deadlineMs === undefined ? {} : { timeoutMs: Math.max(0, deadlineMs - now) }) };
}

/** The number of the last event before a watch; undefined if the server does not send it. */
function readLastEvent(metadata: Metadata): number | undefined {
  const [text] = metadata.get('hone-last-event');
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export class HoneClient {
  readonly #calls: Calls;

  /** Use `connect`. */
  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Completes a prompt and waits for the whole answer. Retried only if the server had not begun. */
  async generate(request: GenerateRequest, options: CallOptions = {}): Promise<GenerateResult> {
    checkGenerateRequest(request);
    checkOptions(options);
    const message = toGenerateMessage(request);
    return toGenerateResult(await this.#calls.unary(services.generation.Generate, message, 'unstarted', options));
  }

  /** Completes a prompt token by token. Leaving the loop or aborting the signal ends the work on the server. */
  async *stream(request: GenerateRequest, options: CallOptions = {}): AsyncGenerator<GenerateEvent, void, undefined> {
    checkGenerateRequest(request);
    checkOptions(options);
    const message = toGenerateMessage(request);
    const parts = this.#calls.serverStream(services.generation.StreamGenerate, message, 'unstarted', options);
    for await (const part of parts) yield* toGenerateEvents(part);
  }

  /** Returns a stored generation. @throws HoneClientError `GENERATION_NOT_FOUND` */
  async getGeneration(generationId: string, options: CallOptions = {}): Promise<Generation> {
    checkArguments({ generationId });
    checkOptions(options);
    const { GetGeneration } = services.generation;
    return toGeneration((await this.#calls.unary(GetGeneration, { generationId }, 'idempotent', options)).generation);
  }

  /**
   * Sends feedback: scores, preferences, edits. When it resolves, the feedback is on disk; the outcomes have the order
   * of the items. A refused item does not affect the others. The call fails only if every item is refused.
   */
  async feedback(
    items: FeedbackItem | readonly FeedbackItem[],
    options: CallOptions = {},
  ): Promise<readonly FeedbackOutcome[]> {
    const all = [items].flat();
    checkFeedbackItems(all);
    checkOptions(options);
    // The keys are made here, once, so that every attempt sends the same keys.
    const message = { items: all.map(toFeedbackMessage) };
    const { SubmitFeedback } = services.feedback;
    const { outcomes } = await this.#calls.unary(SubmitFeedback, message, 'idempotent', options);
    return outcomes.map(toFeedbackOutcome);
  }

  /**
   * Opens a stream for feedback. Closing it waits for the last acknowledgement. If the connection is lost, it connects
   * again and sends what was not acknowledged once more, with the same keys.
   */
  feedbackStream(options: CallOptions & FeedbackStreamOptions = {}): FeedbackStream {
    checkOptions(options, 'feedbackStream');
    return new FeedbackStream(this.#calls, options);
  }

  /** Explains the reward of a generation and what learned from it. @throws HoneClientError `GENERATION_NOT_FOUND` */
  async explain(generationId: string, options: CallOptions = {}): Promise<Explanation> {
    checkArguments({ generationId });
    checkOptions(options);
    const { ExplainGeneration } = services.feedback;
    return toExplanation(await this.#calls.unary(ExplainGeneration, { generationId }, 'idempotent', options));
  }

  /** Returns a snapshot of everything. */
  async status(options: CallOptions = {}): Promise<ServerStatus> {
    checkOptions(options);
    return toServerStatus(await this.#calls.unary(services.status.GetServerStatus, {}, 'idempotent', options));
  }

  /** Returns the status of the learner. */
  async learnerStatus(options: CallOptions = {}): Promise<LearnerStatus> {
    checkOptions(options);
    const { GetLearnerStatus } = services.learner;
    return toLearnerStatus((await this.#calls.unary(GetLearnerStatus, {}, 'idempotent', options)).learner);
  }

  /** Returns all versions, newest first, and fetches them page by page. */
  async *versions(
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<Version, void, undefined> {
    checkOptions(options, 'versions');
    const { ListVersions } = services.versions;
    let pageToken = '';
    do {
      const request = { pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#calls.unary(ListVersions, request, 'idempotent', options);
      yield* page.versions.map(toVersion);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** Returns a version. @throws HoneClientError `VERSION_NOT_FOUND` */
  async version(number: number, options: CallOptions = {}): Promise<Version> {
    checkArguments({ number });
    checkOptions(options);
    const { GetVersion } = services.versions;
    return toVersion((await this.#calls.unary(GetVersion, { number }, 'idempotent', options)).version);
  }

  /**
   * Returns the files of a version's adapter in PEFT's layout. A base version has the zero adapter.
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` if the adapter was removed
   */
  async exportVersion(number: number, options: CallOptions = {}): Promise<AdapterFiles> {
    checkArguments({ number });
    checkOptions(options);
    const { ExportVersion } = services.versions;
    const retries = this.#calls.retries(options);
    const deadlineMs = streamDeadline(options);
    for (;;) {
      try {
        // Files that were cut off are fetched again from their beginning.
        const call = attempt(options, deadlineMs, retries);
        return await fromChunks(this.#calls.serverStream(ExportVersion, { number }, 'never', call));
      } catch (thrown) {
        await retries.waitOrThrow(HoneClientError.from(thrown), 'idempotent', deadlineMs, options.signal);
      }
    }
  }

  /**
   * Makes a candidate of an adapter: of files from {@link HoneClient.exportVersion}, or of an adapter that Python's
   * `peft` wrote for the same model. Resolves when the candidate is on disk. Its state and events show whether it goes
   * live. It is never retried.
   * @throws HoneClientError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `INVALID_REQUEST` if it is too large
   */
  async importVersion(files: AdapterFiles, options: CallOptions = {}): Promise<Version> {
    checkArguments({ files });
    checkOptions(options);
    const requests = [...toChunks(files)].map((chunk) => ({ chunk }));
    return toVersion((await this.#calls.clientStream(services.admin.ImportVersion, requests, options)).version);
  }

  /** Serves the weights of an older version again, as a new version, which it returns. It is never retried. */
  async rollback(number: number, options: CallOptions = {}): Promise<Version> {
    checkArguments({ number });
    checkOptions(options);
    const { Rollback } = services.admin;
    return toVersion((await this.#calls.unary(Rollback, { number }, 'never', options)).version);
  }

  /** Returns the mode and the version on trial. */
  async mode(options: CallOptions = {}): Promise<RolloutStatus> {
    checkOptions(options);
    return toRolloutStatus((await this.#calls.unary(services.admin.GetMode, {}, 'idempotent', options)).rollout);
  }

  /** Sets the mode for later candidates and for the version on trial. The mode survives restarts of the server. */
  async setMode(mode: Mode, options: CallOptions = {}): Promise<RolloutStatus> {
    checkArguments({ mode });
    checkOptions(options);
    const message = toModeMessage(mode);
    return toRolloutStatus((await this.#calls.unary(services.admin.SetMode, message, 'idempotent', options)).rollout);
  }

  /**
   * Makes a candidate or the version on trial live. It is never retried.
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE` (not a candidate, or not judged yet)
   */
  async promote(number: number, options: CallOptions = {}): Promise<Version> {
    checkArguments({ number });
    checkOptions(options);
    const { PromoteVersion } = services.admin;
    return toVersion((await this.#calls.unary(PromoteVersion, { number }, 'never', options)).version);
  }

  /**
   * Rejects a candidate or the version on trial for good. It is never retried.
   * @param reason stored with the version. Default: a person rejected it
   * @throws HoneClientError `VERSION_NOT_FOUND`, `VERSION_NOT_SERVABLE`
   */
  async reject(number: number, reason = '', options: CallOptions = {}): Promise<Version> {
    checkArguments({ number, reason });
    checkOptions(options);
    const { RejectVersion } = services.admin;
    return toVersion((await this.#calls.unary(RejectVersion, { number, reason }, 'never', options)).version);
  }

  /**
   * Erases all stored data of a subject and ends its running requests. When it resolves, the erasure is on disk.
   * @throws HoneClientError `INVALID_REQUEST`
   */
  async eraseSubject(
    subject: string,
    options: CallOptions & { readonly retrain?: boolean } = {},
  ): Promise<ErasureResult> {
    checkArguments({ subject });
    checkOptions(options, 'erase');
    const { retrain = false } = options;
    // The caller can give another deadline.
    const call = { timeoutMs: erasureTimeoutMs, ...options };
    return toErasureResult(
      await this.#calls.unary(services.admin.EraseSubject, { subject, retrain }, 'idempotent', call),
    );
  }

  /** Exports the store as pieces of a file of JSON lines. Retried only before the first piece. */
  async *exportReplay(options: CallOptions & ExportFilter = {}): AsyncGenerator<ExportPiece, void, undefined> {
    checkOptions(options, 'export');
    const { subject = '', sinceMs, scored = false } = options;
    const request = { subject, scored, ...(sinceMs === undefined ? {} : { sinceMs }) };
    yield* this.#calls.serverStream(services.admin.ExportReplay, request, 'idempotent', options);
  }

  /**
   * Imports the pieces of such a file, each up to 1 MiB, no faster than the server writes. It is never retried. A
   * second import of the same file is safe, because the server skips records that it has.
   */
  async importReplay(
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: CallOptions = {},
  ): Promise<ImportResult> {
    checkOptions(options);
    async function* requests() {
      for await (const data of pieces) yield { data: Buffer.from(data.buffer, data.byteOffset, data.byteLength) };
    }
    return toImportResult(await this.#calls.clientStream(services.admin.ImportReplay, requests(), options));
  }

  /** Stops the learner after its current step and a checkpoint. @throws HoneClientError `LEARNER_OFF` */
  async pauseLearner(options: CallOptions = {}): Promise<LearnerStatus> {
    checkOptions(options);
    const { PauseLearner } = services.admin;
    return toLearnerStatus((await this.#calls.unary(PauseLearner, {}, 'idempotent', options)).learner);
  }

  /** Restarts a learner that is paused or has stopped itself. @throws HoneClientError `LEARNER_OFF` */
  async resumeLearner(options: CallOptions = {}): Promise<LearnerStatus> {
    checkOptions(options);
    const { ResumeLearner } = services.admin;
    return toLearnerStatus((await this.#calls.unary(ResumeLearner, {}, 'idempotent', options)).learner);
  }

  /**
   * Yields events until the loop is left or the signal aborts. If the connection is lost, also because the server starts
   * again, it connects again and continues after the last event: none is left out, and none comes twice. It gives up
   * after `retry.maxElapsedMs` without a connection.
   * @throws HoneClientError `EVENTS_NOT_FOUND` if the server no longer keeps the events after the last one, or its numbers
   * began again
   */
  async *watchEvents(options: CallOptions & WatchOptions = {}): AsyncGenerator<HoneEvent, void, undefined> {
    checkOptions(options, 'watch');
    const { WatchEvents } = services.events;
    const retries = this.#calls.retries(options);
    const deadlineMs = streamDeadline(options);
    const types = new Set<string>(options.types ?? []);
    let seen = options.afterSequence;
    for (;;) {
      let begunAtMs = Number.POSITIVE_INFINITY;
      try {
        // Events of all types are read, because only the number of the last one tells where to continue.
        const request = toWatchMessage(seen);
        const begin = (metadata: Metadata): void => {
          begunAtMs = Date.now();
          seen ??= readLastEvent(metadata);
        };
        const call = attempt(options, deadlineMs, retries);
        for await (const message of this.#calls.serverStream(WatchEvents, request, 'never', call, begin)) {
          retries.reset();
          for (const event of message.events.map(toEvent)) {
            seen = event.sequence;
            if (types.size === 0 || types.has(event.type)) yield event;
          }
        }
        return;
      } catch (thrown) {
        // A watch may hear nothing for days. One that ends as soon as it has begun counts as a further failure.
        if (Date.now() - begunAtMs > settledMs) retries.reset();
        await retries.waitOrThrow(HoneClientError.from(thrown), 'idempotent', deadlineMs, options.signal);
      }
    }
  }

  /** Returns the health of the server or of one of its services. */
  async health(service = '', options: CallOptions = {}): Promise<Health> {
    checkArguments({ service });
    checkOptions(options);
    return toHealth((await this.#calls.unary(healthCheck, { service }, 'idempotent', options)).status);
  }

  /** Closes the connection. Running calls fail. */
  close(): void {
    this.#calls.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
