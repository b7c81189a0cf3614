/** A stored generation in the contract's words. */

import type { FinishReason as ProtoFinishReason } from '../../proto/generated/hone/v1/FinishReason.js';
import type { Generation as ProtoGeneration } from '../../proto/generated/hone/v1/Generation.js';
import type { GenerationOrigin as ProtoOrigin } from '../../proto/generated/hone/v1/GenerationOrigin.js';
import type { GenerationState as ProtoState } from '../../proto/generated/hone/v1/GenerationState.js';
import type { Role } from '../../proto/generated/hone/v1/Role.js';
import type { StoredGeneration } from '../../src/agent/index.js';
import type { GenerationOrigin, GenerationState } from '../../src/replay/index.js';

export const generationStates: Readonly<Record<GenerationState, ProtoState>> = {
  running: 'GENERATION_STATE_RUNNING',
  finished: 'GENERATION_STATE_FINISHED',
  cancelled: 'GENERATION_STATE_CANCELLED',
  aborted: 'GENERATION_STATE_ABORTED',
};

export const generationOrigins: Readonly<Record<GenerationOrigin, ProtoOrigin>> = {
  sampled: 'GENERATION_ORIGIN_SAMPLED',
  edit: 'GENERATION_ORIGIN_EDIT',
  explored: 'GENERATION_ORIGIN_EXPLORED',
  shadow: 'GENERATION_ORIGIN_SHADOW',
};

const finishReasons: Readonly<Record<string, ProtoFinishReason>> = {
  stop: 'FINISH_REASON_STOP',
  length: 'FINISH_REASON_LENGTH',
  cancelled: 'FINISH_REASON_CANCELLED',
  error: 'FINISH_REASON_ERROR',
};

const roles: Readonly<Record<string, Role>> = {
  system: 'ROLE_SYSTEM',
  user: 'ROLE_USER',
  assistant: 'ROLE_ASSISTANT',
};

interface StoredPrompt {
  readonly prompt?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
}

export function toProtoGeneration({ generation, scores }: StoredGeneration): ProtoGeneration {
  const asked = JSON.parse(generation.promptJson) as StoredPrompt;
  return {
    generationId: generation.id,
    state: generationStates[generation.state],
    origin: generationOrigins[generation.origin],
    editOf: generation.editOf ?? '',
    messages: (asked.messages ?? []).map(({ role, content }) => ({ role: roles[role] ?? 'ROLE_UNSPECIFIED', content })),
    prompt: asked.prompt ?? '',
    text: generation.text,
    tokenIds: [...generation.tokens],
    logprobs: [...generation.logprobs],
    sampledLogprobs: [...generation.sampledLogprobs],
    finishReason: finishReasons[generation.finishReason ?? ''] ?? 'FINISH_REASON_UNSPECIFIED',
    version: generation.version,
    adapterDigest: generation.adapterDigest,
    packageDigest: generation.packageDigest,
    subject: generation.subject,
    metadata: JSON.parse(generation.metadataJson),
    createdAtMs: generation.createdAtMs,
    ...(generation.finishedAtMs === null ? {} : { finishedAtMs: generation.finishedAtMs }),
    scores: scores.map(({ rater, metric, value, createdAtMs }) => ({ rater, metric, value, createdAtMs })),
  };
}
