/**
 * One request from admission to its last event.
 *
 * The policy starts (and prefills) while the generations are being written, but no event leaves before they are on
 * disk; the last event leaves after the whole completions are. However the request ends - by itself, by the caller, by a
 * crash of the worker - what was sampled is recorded with the state that says so.
 */

import { v7 as uuidv7 } from 'uuid';
import { HoneError } from '../../errors.js';
import type { Package } from '../../package/index.js';
import type {
  CompletionEvent,
  CompletionFinished,
  FinishReason,
  Policy,
  RequestStarted,
  TokenChunk,
} from '../../policy/index.js';
import type { GenerationCompletion, GenerationOrigin, ReplayStore } from '../../replay/index.js';
import type { RequestMeter } from '../meter.js';
import { isRefusal, type StoreOutage } from '../store-outage.js';
import { type CheckedRequest, completionSeed } from './check-request.js';
import type { AgentEvent, ChunkEvent, StartedEvent } from './types.js';

/** What running a request needs of the agent. */
export interface GenerationContext {
  readonly pkg: Package;
  readonly policy: Policy;
  readonly replay: ReplayStore;
  readonly now: () => number;
  /** Told of what the store refuses and takes. */
  readonly storeOutage: StoreOutage;
  /** Generations that may take scores while they run. */
  readonly onAdmitted: (ids: readonly string[]) => void;
  /** They are on disk, whole, or will never be. */
  readonly onRecorded: (ids: readonly string[]) => void;
}

/** A request to run. */
export interface GenerationRequest extends CheckedRequest {
  /** As which its generations are kept. Default `sampled`. */
  readonly origin?: GenerationOrigin;
}

/** What one completion has brought so far. */
export interface CompletionRecord {
  readonly id: string;
  readonly tokens: number[];
  readonly logprobs: number[];
  readonly sampledLogprobs: number[];
  text: string;
  reason: FinishReason | null;
  endOfSequence: boolean;
}

/**
 * Runs a checked request; see {@link AgentEvent} for what leaves in which order.
 * @param abort fired to stop the policy, by the caller's signal or by leaving the loop early
 * @param meter told of tokens and of the completions' ends
 */
export async function* runGeneration(
  context: GenerationContext,
  request: GenerationRequest,
  abort: AbortController,
  meter: RequestMeter,
): AsyncGenerator<AgentEvent> {
  const { promptTokens, sampling, n } = request;
  const records = Array.from({ length: n }, (): CompletionRecord => newRecord(uuidv7()));
  const ids = records.map(({ id }) => id);
  const events = context.policy
    .complete(
      {
        promptTokens,
        sampling,
        completions: ids.map((id, index) => ({ id, seed: completionSeed(request.seed, index) })),
        ...(request.version === undefined ? {} : { version: request.version }),
      },
      abort.signal,
    )
    [Symbol.asyncIterator]();
  const started = await firstEvent(events, abort.signal);
  let kept = false;
  let recorded = false;
  const record = async (crashed: boolean) => {
    recorded = true;
    for (const [index, { reason }] of records.entries()) {
      meter.completionEnded(index, reason ?? (crashed ? 'error' : 'cancelled'));
    }
    if (!kept) return;
    try {
      await context.replay.complete(records.map((record) => toCompletion(record, crashed, context.now())));
    } catch (thrown) {
      context.storeOutage.endsNotWritten(ids, HoneError.from(thrown));
      throw thrown;
    } finally {
      context.onRecorded(ids);
    }
  };

  try {
    kept = request.store && (await admit(context, request, ids, started));
    if (kept) context.onAdmitted(ids);
    yield toStarted(context.pkg, ids, started, promptTokens.length);
    for (;;) {
      const next = await events.next();
      if (next.done === true) break;
      const event = keep(records, next.value, meter);
      if (event !== undefined && !abort.signal.aborted) yield withAsked(event, request);
    }
    await record(false);
    if (abort.signal.aborted) throw abortReason(abort.signal);
    yield {
      type: 'ended',
      promptTokens: promptTokens.length,
      completionTokens: records.reduce((sum, { tokens }) => sum + tokens.length, 0),
      cachedPromptTokens: started.cachedPromptTokens,
    };
  } catch (thrown) {
    if (!recorded) {
      abort.abort();
      await record(true);
    }
    throw thrown;
  } finally {
    if (!recorded) {
      // The caller left the loop: what the policy still says belongs to the record.
      abort.abort();
      await drain(events, records, meter);
      await record(false);
    }
  }
}

async function firstEvent(events: AsyncIterator<CompletionEvent>, signal: AbortSignal): Promise<RequestStarted> {
  const first = await events.next();
  if (first.done !== true && first.value.type === 'started') return first.value;
  // A request that is aborted while it waits for a slot may end without ever having started.
  if (signal.aborted) throw abortReason(signal);
  throw new HoneError('INTERNAL', 'the policy ended a completion before it started');
}

/** False where the store takes no writes: serving goes on without keeping. */
export async function admit(
  context: GenerationContext,
  request: GenerationRequest,
  ids: readonly string[],
  started: RequestStarted,
): Promise<boolean> {
  const createdAtMs = context.now();
  const samplingJson = JSON.stringify({ ...request.sampling, seed: request.seed });
  try {
    await context.replay.admit(
      ids.map((id) => ({
        id,
        origin: request.origin ?? 'sampled',
        groupKey: request.groupKey,
        packageDigest: context.pkg.digest,
        version: started.version,
        adapterDigest: started.adapterDigest,
        promptTokens: Uint32Array.from(request.promptTokens),
        promptJson: request.promptJson,
        metadataJson: request.metadataJson,
        samplingJson,
        subject: request.subject,
        createdAtMs,
      })),
    );
    void context.storeOutage.writeSucceeded();
    return true;
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (!isRefusal(error)) throw error;
    context.storeOutage.writeFailed(error);
    return false;
  }
}

async function drain(
  events: AsyncIterator<CompletionEvent>,
  records: readonly CompletionRecord[],
  meter: RequestMeter,
): Promise<void> {
  try {
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      keep(records, next.value, meter);
    }
  } catch {
    // The worker died while it was being told to stop: the record says "cancelled" all the same.
  }
}

/** Writes an event into its completion's record. */
export function keep(
  records: readonly CompletionRecord[],
  event: CompletionEvent,
  meter: RequestMeter,
): TokenChunk | CompletionFinished | undefined {
  if (event.type === 'started') return undefined;
  const record = records[event.completion];
  if (record === undefined) return undefined;
  if (event.type === 'finished') {
    record.reason = event.reason;
    record.endOfSequence = event.endOfSequence;
    return event;
  }
  meter.tokens(event.completion, event.tokens.length);
  record.text += event.text;
  record.tokens.push(...event.tokens);
  record.logprobs.push(...event.logprobs);
  record.sampledLogprobs.push(...event.sampledLogprobs);
  return event;
}

export function newRecord(id: string): CompletionRecord {
  return { id, tokens: [], logprobs: [], sampledLogprobs: [], text: '', reason: null, endOfSequence: false };
}

export function toCompletion(record: CompletionRecord, crashed: boolean, nowMs: number): GenerationCompletion {
  const reason = record.reason ?? (crashed ? 'error' : 'cancelled');
  return {
    id: record.id,
    state: reason === 'cancelled' ? 'cancelled' : reason === 'error' ? 'aborted' : 'finished',
    finishReason: reason,
    endOfSequence: record.endOfSequence,
    tokens: Uint32Array.from(record.tokens),
    text: record.text,
    logprobs: Float32Array.from(record.logprobs),
    sampledLogprobs: Float32Array.from(record.sampledLogprobs),
    finishedAtMs: nowMs,
  };
}

function toStarted(
  pkg: Package,
  generationIds: readonly string[],
  started: RequestStarted,
  promptTokens: number,
): StartedEvent {
  return {
    type: 'started',
    generationIds,
    version: started.version,
    adapterDigest: started.adapterDigest,
    packageDigest: pkg.digest,
    promptTokens,
    cachedPromptTokens: started.cachedPromptTokens,
  };
}

/** The event as the caller asked for it: log-probabilities only on request. */
function withAsked(event: TokenChunk | CompletionFinished, request: CheckedRequest): AgentEvent {
  if (event.type === 'finished') return { type: 'finished', completion: event.completion, reason: event.reason };
  const { completion, text, tokens, logprobs, sampledLogprobs, topLogprobs } = event;
  const chunk: ChunkEvent = { type: 'chunk', completion, text, tokens };
  if (!request.logprobs) return chunk;
  return {
    ...chunk,
    logprobs,
    sampledLogprobs,
    ...(request.topLogprobs > 0 && topLogprobs !== undefined ? { topLogprobs } : {}),
  };
}

/** The abort's own reason where it is one of ours (a deadline, a shutdown), else that the caller went away. */
export function abortReason(signal: AbortSignal): HoneError {
  return signal.reason instanceof HoneError
    ? signal.reason
    : new HoneError('CANCELLED', 'the caller ended the request', { cause: signal.reason });
}
