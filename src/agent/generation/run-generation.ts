/**
 * Runs one request, from its admission to its last event.
 *
 * The policy computes the prompt while the generations are being written, but no event leaves before they are on disk.
 * The last event leaves when the whole completions are on disk. Whether the request ends by itself, by its caller or by
 * a crash of the worker: what was sampled is stored, with the state that says how it ended.
 */

import { HoneError } from '../../errors.js';
import type { Package } from '../../package/index.js';
import type { CompletionEvent, CompletionFinished, RequestStarted, TokenChunk } from '../../policy/index.js';
import type { RequestMeter } from '../meter.js';
import { type CheckedRequest, completionSeed } from './check-request.js';
import type { GenerationContext, GenerationRequest } from './generation-context.js';
import { RequestRecord } from './request-record.js';
import type { AgentEvent, ChunkEvent, StartedEvent } from './types.js';

/**
 * Runs a checked request; {@link AgentEvent} describes which event leaves when.
 * @param abort stops the policy; fired by the caller's signal, by a caller that leaves the loop early, and by a failure
 * @param meter counts the tokens and the ends of the completions
 */
export async function* runGeneration(
  context: GenerationContext,
  request: GenerationRequest,
  abort: AbortController,
  meter: RequestMeter,
): AsyncGenerator<AgentEvent> {
  const record = new RequestRecord(context, request, meter);
  const events = startPolicy(context, request, record.ids, abort.signal);
  const started = await firstEvent(events, abort.signal);
  const promptTokens = request.promptTokens.length;
  try {
    await record.begin(started);
    yield toStarted(context.pkg, record.ids, started, promptTokens);
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      const event = record.keep(next.value);
      if (event !== null && !abort.signal.aborted) yield withAsked(event, request);
    }
    await record.end(abort.signal.aborted ? 'cancelled' : 'finished');
    if (abort.signal.aborted) throw abortReason(abort.signal);
    const { cachedPromptTokens } = started;
    yield { type: 'ended', promptTokens, completionTokens: record.tokenCount, cachedPromptTokens };
  } catch (thrown) {
    if (!record.hasEnded) {
      abort.abort();
      await record.end('aborted');
    }
    throw thrown;
  } finally {
    if (!record.hasEnded) {
      // The caller has left the loop. What the policy still reports belongs to the record.
      abort.abort();
      await keepTheRest(events, record);
      await record.end('cancelled');
    }
  }
}

function startPolicy(
  { policy }: GenerationContext,
  { promptTokens, sampling, seed, version }: GenerationRequest,
  ids: readonly string[],
  signal: AbortSignal,
): AsyncIterator<CompletionEvent> {
  const completions = ids.map((id, index) => ({ id, seed: completionSeed(seed, index) }));
  const asked = { promptTokens, sampling, completions, ...(version === undefined ? {} : { version }) };
  return policy.complete(asked, signal)[Symbol.asyncIterator]();
}

async function firstEvent(events: AsyncIterator<CompletionEvent>, signal: AbortSignal): Promise<RequestStarted> {
  const first = await events.next();
  if (first.done !== true && first.value.type === 'started') return first.value;
  // A request that is aborted while it waits for a slot may end without having started.
  if (signal.aborted) throw abortReason(signal);
  throw new HoneError('INTERNAL', 'the policy ended a request before it started it');
}

async function keepTheRest(events: AsyncIterator<CompletionEvent>, record: RequestRecord): Promise<void> {
  try {
    for (let next = await events.next(); next.done !== true; next = await events.next()) record.keep(next.value);
  } catch {
    // The worker died while the request was being stopped. The caller left first, so the request counts as cancelled.
  }
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

/** The event as the caller asked for it: with log-probabilities only on request. */
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

/** The reason of an abort: its own if it is a HoneError, as for a deadline or a shutdown, else `CANCELLED`. */
export function abortReason(signal: AbortSignal): HoneError {
  return signal.reason instanceof HoneError
    ? signal.reason
    : new HoneError('CANCELLED', 'the caller ended the request', { cause: signal.reason });
}
