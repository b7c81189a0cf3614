/** GenerationService: translates between the contract's messages and the agent. */

import { enumNames } from '../../proto/enum-names.js';
import type { CompletionChunk } from '../../proto/generated/hone/v1/CompletionChunk.js';
import type { GenerateRequest__Output } from '../../proto/generated/hone/v1/GenerateRequest.js';
import type { GenerateResponse } from '../../proto/generated/hone/v1/GenerateResponse.js';
import type { GenerationServiceHandlers } from '../../proto/generated/hone/v1/GenerationService.js';
import type { StreamGenerateRequest__Output } from '../../proto/generated/hone/v1/StreamGenerateRequest.js';
import type { StreamGenerateResponse } from '../../proto/generated/hone/v1/StreamGenerateResponse.js';
import type { TopLogprobs } from '../../proto/generated/hone/v1/TopLogprobs.js';
import type { Agent, AgentEvent, ChunkEvent, EndedEvent, GenerateInput } from '../../src/agent/index.js';
import type { TopLogprob } from '../../src/policy/index.js';
import { batched, type ReportError, serverStream, unary } from './calls.js';
import { toProtoGeneration } from './stored-generation.js';

/** @param maxStalledMs how long a caller may leave its stream unread */
export function generationHandlers(agent: Agent, report: ReportError, maxStalledMs: number): GenerationServiceHandlers {
  return {
    Generate: unary(report, async (request: GenerateRequest__Output, signal): Promise<GenerateResponse> => {
      const collected = new Collected();
      for await (const event of agent.generate(toInput(request), signal)) collected.add(event);
      return collected.response;
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

/** Assembles a whole answer from the events of a request. */
class Collected {
  readonly response: GenerateResponse = {};
  readonly #chunks: MutableChunk[] = [];

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
