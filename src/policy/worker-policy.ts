/**
 * The policy, as seen from the event loop: a bounded queue of requests before an inference worker that is started anew
 * on the live version when it crashes, and streams of events behind it that tell it when their readers are slow.
 */

import { HoneError } from '../errors.js';
import { checkRequest } from './check-request.js';
import type { CompletionEvent } from './completion-events.js';
import type { CompletionRequest } from './completion-request.js';
import { CompletionStream, readerStalled } from './completion-stream.js';
import { Holds } from './holds.js';
import type { StepMessage, WorkerSettings, WorkerStatus } from './messages.js';
import { checkPolicyOptions, type PolicyOptions, type PolicySettings } from './options.js';
import type { Policy } from './policy.js';
import type { PolicyStatus } from './policy-status.js';
import type { HoldReport, PolicyVersion, SwapReport } from './policy-version.js';
import { RequestQueue } from './request-queue.js';
import { StallWatch } from './stall-watch.js';
import { WorkerHandle } from './worker-handle.js';

/** Pauses before the restarts that follow each other without a step between; after the last the policy gives up. */
const restartPausesMs = [0, 100, 1000, 5000, 15_000];

/** A request that has not come to its end. */
interface Running {
  readonly stream: CompletionStream;
  /** Where it waits until the worker starts it. */
  readonly queue: RequestQueue;
}

/**
 * Opens the policy; it serves when this resolves.
 * @throws HoneError `INVALID_OPTIONS`; `MODEL_INVALID`, `OPERATOR_UNSUPPORTED` for a decoder that cannot be served;
 * `ADAPTER_INVALID`, `ADAPTER_MISMATCH` for the versions
 */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const policy = new WorkerPolicy(options, checkPolicyOptions(options));
  await policy.open();
  return policy;
}

class WorkerPolicy implements Policy {
  readonly #options: PolicyOptions;
  readonly #settings: PolicySettings;
  #worker: WorkerHandle;
  #state: 'serving' | 'restarting' | 'failed' | 'closing' = 'serving';
  /** Restarts since the last step. */
  #crashes = 0;
  #live: PolicyVersion;
  readonly #holds = new Holds();
  readonly #running = new Map<number, Running>();
  /** Requests that the worker has not started yet. */
  readonly #queue: RequestQueue;
  /** The same of the background: what it keeps waiting takes no place from others. */
  readonly #backgroundQueue: RequestQueue;
  readonly #stalls: StallWatch;
  #nextRequest = 0;
  #closed: Promise<void> | null = null;
  /** Resolves when the last restart has come to an end, good or bad. */
  #restarted: Promise<void> = Promise.resolve();
  readonly #totals = { generatedTokens: 0, promptTokens: 0, steps: 0 };

  constructor(options: PolicyOptions, settings: PolicySettings) {
    this.#options = options;
    this.#settings = settings;
    this.#live = options.version;
    this.#queue = new RequestQueue(settings, () => performance.now());
    this.#backgroundQueue = new RequestQueue(settings, () => performance.now());
    this.#stalls = new StallWatch(settings.maxStalledMs, (request) => this.#endStalled(request));
    this.#worker = options.worker ?? new WorkerHandle();
  }

  open(): Promise<void> {
    return this.#openWorker();
  }

  async *complete(request: CompletionRequest, signal?: AbortSignal): AsyncIterable<CompletionEvent> {
    this.#checkOpen();
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
    // A version that arrives while the worker is being restarted is not lost for it.
    await this.#restarted;
    this.#checkOpen();
    const report = await this.#worker.swap(version);
    if (report.probe.verdict !== 'failed') this.#live = version;
    this.#options.observer?.onSwap?.(report);
    return report;
  }

  async hold(version: PolicyVersion): Promise<HoldReport> {
    await this.#restarted;
    this.#checkOpen();
    this.#holds.add(version);
    let report: HoldReport | undefined;
    try {
      report = await this.#worker.hold(version);
    } finally {
      if (report === undefined || report.probe.verdict === 'failed') this.#giveUp(version.number);
      else this.#holds.confirm(version.number);
    }
    return report;
  }

  async release(number: number): Promise<void> {
    this.#giveUp(number);
  }

  #giveUp(number: number): void {
    if (this.#holds.remove(number)) this.#worker.release(number);
  }

  async clearPrefixes(): Promise<void> {
    if (this.#state !== 'serving') return;
    // A worker that dies takes them along.
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

  /** A worker that is not there runs and holds nothing: figures are given in every state. */
  async #workerStatus(): Promise<WorkerStatus> {
    if (this.#state !== 'serving') return noWorker;
    return this.#worker.status().catch(() => noWorker);
  }

  /** Refuses new requests, lets those that run come to their end, ends the worker. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#state = 'closing';
    await this.#worker.close();
    const error = new HoneError('DRAINING', 'the policy was closed');
    for (const { stream } of this.#running.values()) stream.fail(error);
  }

  #openWorker(): Promise<void> {
    const { pkg, held = [] } = this.#options;
    const kept = this.#holds.versions;
    const workerSettings: WorkerSettings = {
      ...this.#settings,
      modelPath: pkg.modelPath,
      contextLength: pkg.config.contextLength,
      vocabularySize: pkg.config.vocabularySize,
      eosTokenIds: pkg.config.eosTokenIds,
      tokenBytes: pkg.tokenizer.tokenBytes,
      versions: this.#versionsToServe([...kept, ...held]),
      held: kept.map(({ number }) => number),
    };
    return this.#worker.open(workerSettings, {
      onStep: (message) => this.#onStep(message),
      onCrash: (error) => this.#onCrash(error),
    });
  }

  /** The live version last; version 0, wherever it was seen, stays servable. */
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
    this.#crashes = 0;
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
    this.#state = 'restarting';
    this.#options.onRestart?.(error);
    this.#restarted = this.#restart();
  }

  async #restart(): Promise<void> {
    while (this.#state === 'restarting') {
      const pause = restartPausesMs[this.#crashes++];
      if (pause === undefined) {
        this.#state = 'failed';
        this.#options.onFailed?.(this.#failure());
        return;
      }
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.#state !== 'restarting') return;
      this.#worker = new WorkerHandle();
      try {
        await this.#openWorker();
        if (this.#state === 'restarting') this.#state = 'serving';
      } catch {
        // The next pause is longer.
      }
    }
  }

  #checkOpen(): void {
    switch (this.#state) {
      case 'closing':
        throw new HoneError('DRAINING', 'the policy is closing');
      case 'restarting':
        throw new HoneError('WORKER_CRASHED', 'the inference worker is being restarted', { retryAfterMs: 1000 });
      case 'failed':
        throw this.#failure();
      case 'serving':
        return;
    }
  }

  #failure(): HoneError {
    return new HoneError('WORKER_CRASHED', 'the inference worker crashed again and again; restart the server');
  }
}

const noWorker: WorkerStatus = {
  runningSequences: 0,
  parkedRequests: 0,
  backgroundRequests: 0,
  kvBytesUsed: 0,
  kvBytesBudget: 0,
  prefixCache: { hitTokens: 0, lookedUpTokens: 0, bytes: 0, maxBytes: 0, evictedBlocks: 0 },
  heldVersions: [],
};
