/**
 * The policy on the event loop. Requests pass a bounded queue on their way to the inference worker, and the worker's
 * steps become streams of events. If the reader of a stream is slow, the worker stops computing for it.
 */

import { HoneError } from '../errors.js';
import { checkRequest } from './check-request.js';
import type { CompletionEvent } from './completion-events.js';
import type { CompletionRequest } from './completion-request.js';
import { CompletionStream, readerStalled } from './completion-stream.js';
import { HoldCounts } from './hold-counts.js';
import type { StepMessage, WorkerSettings, WorkerStatus } from './messages.js';
import { checkPolicyOptions, type PolicyOptions, type PolicySettings } from './options.js';
import type { Policy } from './policy.js';
import type { PolicyStatus } from './policy-status.js';
import type { HoldReport, PolicyVersion, SwapReport } from './policy-version.js';
import { RequestQueue } from './request-queue.js';
import { StallWatch } from './stall-watch.js';
import type { WorkerHandle } from './worker-handle.js';
import { WorkerKeeper } from './worker-keeper.js';

/** A request that has not ended. */
interface Running {
  readonly stream: CompletionStream;
  /** The queue in which it waits until the worker starts it. */
  readonly queue: RequestQueue;
}

/**
 * Opens the policy. It serves when the promise resolves.
 * @throws HoneError `INVALID_OPTIONS`; `MODEL_INVALID` or `OPERATOR_UNSUPPORTED` if the decoder cannot be served;
 * `ADAPTER_INVALID` or `ADAPTER_MISMATCH` if a version cannot
 */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const policy = new WorkerPolicy(options, checkPolicyOptions(options));
  await policy.open();
  return policy;
}

class WorkerPolicy implements Policy {
  readonly #options: PolicyOptions;
  readonly #settings: PolicySettings;
  readonly #keeper: WorkerKeeper;
  #live: PolicyVersion;
  readonly #holds = new HoldCounts();
  readonly #running = new Map<number, Running>();
  /** Requests that the worker has not started. */
  readonly #queue: RequestQueue;
  /**
   * Background requests that the worker has not started. They have a queue of their own, to take no place from others.
   */
  readonly #backgroundQueue: RequestQueue;
  readonly #stalls: StallWatch;
  #nextRequest = 0;
  #closed: Promise<void> | null = null;
  readonly #totals = { generatedTokens: 0, promptTokens: 0, steps: 0 };

  constructor(options: PolicyOptions, settings: PolicySettings) {
    this.#options = options;
    this.#settings = settings;
    this.#live = options.version;
    this.#queue = new RequestQueue(settings, () => performance.now());
    this.#backgroundQueue = new RequestQueue(settings, () => performance.now());
    this.#stalls = new StallWatch(settings.maxStalledMs, (request) => this.#endStalled(request));
    this.#keeper = new WorkerKeeper({
      worker: options.worker,
      settings: () => this.#workerSettings(),
      onStep: (message) => this.#onStep(message),
      onCrash: (error) => this.#onCrash(error),
      onFailed: (error) => options.onFailed?.(error),
    });
  }

  open(): Promise<void> {
    return this.#keeper.open();
  }

  async *complete(request: CompletionRequest, signal?: AbortSignal): AsyncIterable<CompletionEvent> {
    this.#keeper.checkServing();
    checkRequest(request, this.#options.pkg.config);
    const id = this.#nextRequest++;
    const queue = request.background === true ? this.#backgroundQueue : this.#queue;
    queue.add(id, request.promptTokens.length);
    const stream = this.#openStream(id, request);
    this.#running.set(id, { stream, queue });
    const cancel = (): void => this.#worker.cancel(id);
    this.#worker.submit(id, request);
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
    try {
      yield* stream.read();
    } finally {
      signal?.removeEventListener('abort', cancel);
      if (!stream.ended) cancel();
    }
  }

  get #worker(): WorkerHandle {
    return this.#keeper.worker;
  }

  #openStream(id: number, { completions, sampling }: CompletionRequest): CompletionStream {
    const stream = new CompletionStream({
      completions: completions.length,
      withTop: sampling.topLogprobs > 0,
      onFull: () => {
        this.#worker.park(id);
        this.#stalls.start(id);
      },
      onDrained: () => {
        this.#stalls.stop(id);
        if (!stream.ended) this.#worker.resume(id);
      },
    });
    return stream;
  }

  #endStalled(request: number): void {
    const running = this.#running.get(request);
    if (running === undefined) return;
    running.stream.fail(readerStalled(this.#settings.maxStalledMs));
    this.#worker.cancel(request);
    this.#forget(request);
  }

  async swap(version: PolicyVersion): Promise<SwapReport> {
    // A version that arrives during a restart is swapped in after it.
    await this.#keeper.restarted;
    this.#keeper.checkServing();
    const report = await this.#worker.swap(version);
    if (report.probe.verdict !== 'failed') this.#live = version;
    this.#options.observer?.onSwap?.(report);
    return report;
  }

  async hold(version: PolicyVersion): Promise<HoldReport> {
    await this.#keeper.restarted;
    this.#keeper.checkServing();
    this.#holds.add(version);
    let report: HoldReport | undefined;
    try {
      report = await this.#worker.hold(version);
    } finally {
      if (report === undefined || report.probe.verdict === 'failed') this.#removeHold(version.number);
      else this.#holds.confirm(version.number);
    }
    return report;
  }

  async release(number: number): Promise<void> {
    this.#removeHold(number);
  }

  #removeHold(number: number): void {
    if (this.#holds.remove(number)) this.#worker.release(number);
  }

  async clearPrefixes(): Promise<void> {
    if (!this.#keeper.serving) return;
    // If the worker dies, its prefixes are gone too.
    await this.#worker.clearPrefixes().catch(() => undefined);
  }

  async status(): Promise<PolicyStatus> {
    return {
      ...(await this.#workerStatus()),
      ...this.#totals,
      queuedRequests: this.#queue.requests,
      queuedTokens: this.#queue.tokens,
      liveVersion: this.#live.number,
      adapterDigest: this.#live.adapterDigest,
    };
  }

  /** Status must work in every state. A worker that does not run has nothing to report. */
  async #workerStatus(): Promise<WorkerStatus> {
    if (!this.#keeper.serving) return noWorker;
    return this.#worker.status().catch(() => noWorker);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#keeper.close();
    const error = new HoneError('DRAINING', 'the policy was closed');
    for (const { stream } of this.#running.values()) stream.fail(error);
  }

  #workerSettings(): WorkerSettings {
    const { pkg, held = [] } = this.#options;
    const kept = this.#holds.versions;
    return {
      ...this.#settings,
      modelPath: pkg.modelPath,
      contextLength: pkg.config.contextLength,
      vocabularySize: pkg.config.vocabularySize,
      eosTokenIds: pkg.config.eosTokenIds,
      tokenBytes: pkg.tokenizer.tokenBytes,
      versions: this.#versionsToServe([...kept, ...held]),
      held: kept.map(({ number }) => number),
    };
  }

  /**
   * Returns the versions of a new worker, each once: version 0 if it is known, the held ones and, as the last, the live
   * one.
   */
  #versionsToServe(held: readonly PolicyVersion[]): PolicyVersion[] {
    const others = [...held, this.#options.version].filter(
      ({ number }, i, all) =>
        number !== this.#live.number &&
        (held.some((kept) => kept.number === number) || number === 0) &&
        all.findIndex((other) => other.number === number) === i,
    );
    return [...others, this.#live];
  }

  #onStep(message: StepMessage): void {
    this.#totals.steps += message.steps;
    const { observer } = this.#options;
    for (const { request, version, adapterDigest, cachedPromptTokens, queuedMs } of message.started) {
      const running = this.#running.get(request);
      if (running === undefined) continue;
      const promptTokens = running.queue.start(request);
      this.#totals.promptTokens += promptTokens;
      if (running.queue === this.#queue) observer?.onStarted?.({ queuedMs, promptTokens, cachedPromptTokens });
      running.stream.start(version, adapterDigest, cachedPromptTokens);
    }
    const { request, completion, token, text, logprob, sampledLogprob, top } = message.tokens;
    this.#totals.generatedTokens += token.length;
    for (let i = 0; i < token.length; i++) {
      this.#running.get(request[i] as number)?.stream.add({
        completion: completion[i] as number,
        token: token[i] as number,
        text: text[i] as string,
        logprob: logprob[i] as number,
        sampledLogprob: sampledLogprob[i] as number,
        top: top[i],
      });
    }
    for (const { request: id, text: rest, completion: index, reason, endOfSequence } of message.finished) {
      const stream = this.#running.get(id)?.stream;
      stream?.finish({ completion: index, reason, endOfSequence }, rest);
      if (stream?.ended) this.#forget(id);
    }
    for (const { request: id, error } of message.refused) {
      this.#running.get(id)?.stream.fail(HoneError.fromJSON(error));
      this.#forget(id);
    }
    if (message.turn !== null) observer?.onTurn?.(message.turn);
  }

  #forget(request: number): void {
    this.#running.get(request)?.queue.remove(request);
    this.#running.delete(request);
    this.#stalls.stop(request);
  }

  #onCrash(error: HoneError): void {
    for (const [id, { stream }] of this.#running) {
      stream.fail(error);
      this.#forget(id);
    }
    this.#options.onRestart?.(error);
  }
}

const noWorker: WorkerStatus = {
  runningSequences: 0,
  parkedRequests: 0,
  backgroundRequests: 0,
  backgroundRuns: { own: 0, others: 0, lost: 0 },
  kvBytesUsed: 0,
  kvBytesBudget: 0,
  prefixCache: { hitTokens: 0, lookedUpTokens: 0, bytes: 0, maxBytes: 0, evictedBlocks: 0 },
  heldVersions: [],
};
