/** GenerationService: translates between the contract's messages and the agent. */

import { Metadata } from '@grpc/grpc-js';
import { encodeMessage } from '../../proto/contract.js';
import { enumNames } from '../../proto/enum-names.js';
import type { Completion } from '../../proto/generated/hone/v1/Completion.js';
import type { CompletionChunk } from '../../proto/generated/hone/v1/CompletionChunk.js';
import type { GenerateRequest__Output } from '../../proto/generated/hone/v1/GenerateRequest.js';
import type { GenerateResponse } from '../../proto/generated/hone/v1/GenerateResponse.js';
import type { GenerationServiceHandlers } from '../../proto/generated/hone/v1/GenerationService.js';
import type { StreamGenerateRequest__Output } from '../../proto/generated/hone/v1/StreamGenerateRequest.js';
import type { StreamGenerateResponse } from '../../proto/generated/hone/v1/StreamGenerateResponse.js';
import type { TopLogprobs } from '../../proto/generated/hone/v1/TopLogprobs.js';
import type { Agent, AgentEvent, ChunkEvent, EndedEvent, GenerateInput, StartedEvent } from '../../src/agent/index.js';
import type { TopLogprob } from '../../src/policy/index.js';
import { OwnTurns } from '../../src/process/own-turns.js';
import { maxAnswerBytes } from './answer-size.js';
import { batched, type ReportError, serverStream, unary } from './calls.js';
import { toProtoGeneration } from './stored-generation.js';

/** @param maxStalledMs how long a caller may leave its stream unread */
export function generationHandlers(agent: Agent, report: ReportError, maxStalledMs: number): GenerationServiceHandlers {
  const turns = new OwnTurns();
  return {
    Generate: unary(report, async (request: GenerateRequest__Output, signal, call): Promise<GenerateResponse> => {
      const collected = new Collected();
      for await (const event of agent.generate({ ...toInput(request), maxAnswerBytes }, signal)) {
        if (event.type === 'started') call.sendMetadata(idsOf(event));
        collected.add(event);
      }
      // Large answers that end together are encoded in turns of their own, so that other calls are answered between.
      if (collected.isLarge) await turns.next();
      return fitAnswer(collected.response);
    }),
    StreamGenerate: serverStream(
      report,
      async function* (request: StreamGenerateRequest__Output, signal) {
        for await (const events of batched(agent.generate(toInput(request), signal))) yield toStreamResponse(events);
      },
      maxStalledMs,
    ),
    GetGeneration: unary(report, async ({ generationId }: { generationId: string }) => ({
      generation: toProtoGeneration(await agent.getGeneration(generationId)),
    })),
  };
}

/** The ids reach the caller before the work is done, so that it can score or fetch what it does not wait for. */
function idsOf({ generationIds }: StartedEvent): Metadata {
  const metadata = new Metadata();
  metadata.set('hone-generation-ids', generationIds.join());
  return metadata;
}

/** Leaves out the contents of the largest completions until the answer fits. Their ids stay, to fetch them. */
export function fitAnswer(response: GenerateResponse, maxBytes = maxAnswerBytes): GenerateResponse {
  const completions = response.completions ?? [];
  // An id, a float and a float take 13 bytes at most, an alternative 9, a UTF-16 unit of a text 3.
  const atMost = completions.map(
    ({ text = '', tokenIds = [], topLogprobs = [] }) =>
      128 +
      text.length * 3 +
      tokenIds.length * 13 +
      topLogprobs.reduce((sum, one) => sum + 10 + 9 * (one.tokenIds?.length ?? 0), 0),
  );
  const frame = 256;
  if (atMost.reduce((sum, bytes) => sum + bytes, frame) <= maxBytes) return response;
  const exact = completions.map((completion) => encodeMessage('hone.v1.Completion', completion).length + 8);
  let bytes = exact.reduce((sum, one) => sum + one, frame);
  const bySize = [...exact.keys()].sort((a, b) => (exact[b] as number) - (exact[a] as number));
  const fitted = [...completions];
  for (const index of bySize) {
    if (bytes <= maxBytes) break;
    const { generationId, finishReason } = completions[index] as Completion;
    fitted[index] = { index, generationId, finishReason, contentLeftOut: true } as Completion;
    bytes += 128 - (exact[index] as number);
  }
  return { ...response, completions: fitted };
}

function toInput(request: GenerateRequest__Output): GenerateInput {
  const { messages, prompt, sampling, n, seed, logprobs, topLogprobs, store, subject, version, metadata } = request;
  return {
    messages: messages.map(({ role, content }) => ({ role: enumNames.Role.toName(role) ?? 'unspecified', content })),
    prompt,
    sampling: sampling ?? undefined,
    n,
    seed,
    logprobs,
    topLogprobs,
    store,
    subject,
    version,
    metadata,
  };
}

/** One message with events that were ready at the same time: at most one chunk per completion. */
function toStreamResponse(events: readonly AgentEvent[]): StreamGenerateResponse {
  const response: StreamGenerateResponse = {};
  const chunks = new Map<number, MutableChunk>();
  for (const event of events) {
    if (event.type === 'started') {
      const { type: _, ...started } = event;
      response.started = { ...started, generationIds: [...event.generationIds] };
    } else if (event.type === 'chunk') {
      const chunk = chunks.get(event.completion);
      if (chunk === undefined) chunks.set(event.completion, newChunk(event));
      else extendChunk(chunk, event);
    } else if (event.type === 'finished') {
      response.finished = [
        ...(response.finished ?? []),
        { index: event.completion, reason: enumNames.FinishReason.toValue(event.reason) },
      ];
    } else response.usage = toUsage(event);
  }
  if (chunks.size > 0) response.chunks = [...chunks.values()];
  return response;
}

interface MutableChunk extends CompletionChunk {
  text: string;
  tokenIds: number[];
  logprobs: number[];
  sampledLogprobs: number[];
  topLogprobs: TopLogprobs[];
}

function newChunk(event: ChunkEvent): MutableChunk {
  const chunk = { index: event.completion, text: '', tokenIds: [], logprobs: [], sampledLogprobs: [], topLogprobs: [] };
  extendChunk(chunk, event);
  return chunk;
}

function extendChunk(chunk: MutableChunk, event: ChunkEvent): void {
  chunk.text += event.text;
  chunk.tokenIds.push(...event.tokens);
  chunk.logprobs.push(...(event.logprobs ?? []));
  chunk.sampledLogprobs.push(...(event.sampledLogprobs ?? []));
  chunk.topLogprobs.push(...(event.topLogprobs ?? []).map(toTopLogprobs));
}

function toTopLogprobs(alternatives: readonly TopLogprob[]): TopLogprobs {
  return { tokenIds: alternatives.map(({ token }) => token), logprobs: alternatives.map(({ logprob }) => logprob) };
}

function toUsage({ promptTokens, completionTokens, cachedPromptTokens }: EndedEvent) {
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens, cachedPromptTokens };
}

/** Tokens from which an answer takes milliseconds to encode if it has alternatives. */
const largeAnswerTokens = 1000;

/** Assembles a whole answer from the events of a request. */
class Collected {
  readonly response: GenerateResponse = {};
  readonly #chunks: MutableChunk[] = [];

  get isLarge(): boolean {
    const tokens = this.#chunks.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    return tokens >= largeAnswerTokens;
  }

  add(event: AgentEvent): void {
    if (event.type === 'started') {
      const { version, adapterDigest, packageDigest, generationIds } = event;
      Object.assign(this.response, { version, adapterDigest, packageDigest });
      generationIds.forEach((generationId, completion) => {
        this.#chunks.push(
          Object.assign(newChunk({ type: 'chunk', completion, text: '', tokens: [] }), { generationId }),
        );
      });
    } else if (event.type === 'chunk') {
      const chunk = this.#chunks[event.completion];
      if (chunk !== undefined) extendChunk(chunk, event);
    } else if (event.type === 'finished') {
      Object.assign(this.#chunks[event.completion] ?? {}, {
        finishReason: enumNames.FinishReason.toValue(event.reason),
      });
    } else {
      this.response.completions = this.#chunks;
      this.response.usage = toUsage(event);
    }
  }
}
