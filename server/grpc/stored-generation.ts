/** Turns a stored generation into a message of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { ChatMessage } from '../../proto/generated/hone/v1/ChatMessage.js';
import type { FinishReason } from '../../proto/generated/hone/v1/FinishReason.js';
import type { Generation as ProtoGeneration } from '../../proto/generated/hone/v1/Generation.js';
import type { StoredGeneration } from '../../src/agent/index.js';
import { newest } from './answer-size.js';

/** Scores of a generation in one answer. */
const maxScores = 1000;

interface StoredMessage {
  readonly role: string;
  readonly content: string;
}

interface StoredPrompt {
  readonly prompt?: string;
  readonly messages?: readonly StoredMessage[];
}

export function toProtoGeneration({ generation, scores }: StoredGeneration): ProtoGeneration {
  const asked = JSON.parse(generation.promptJson) as StoredPrompt;
  const finishReason = toFinishReason(generation.finishReason);
  return {
    generationId: generation.id,
    state: enumNames.GenerationState.toValue(generation.state),
    origin: enumNames.GenerationOrigin.toValue(generation.origin),
    editOf: generation.editOf ?? '',
    messages: (asked.messages ?? []).map(toProtoMessage),
    prompt: asked.prompt ?? '',
    text: generation.text,
    tokenIds: [...generation.tokens],
    logprobs: [...generation.logprobs],
    sampledLogprobs: [...generation.sampledLogprobs],
    ...(finishReason === undefined ? {} : { finishReason }),
    version: generation.version,
    adapterDigest: generation.adapterDigest,
    packageDigest: generation.packageDigest,
    subject: generation.subject,
    metadata: JSON.parse(generation.metadataJson),
    createdAtMs: generation.createdAtMs,
    ...(generation.finishedAtMs === null ? {} : { finishedAtMs: generation.finishedAtMs }),
    scores: newest(scores, maxScores).map(({ rater, metric, value, createdAtMs }) => ({
      rater,
      metric,
      value,
      createdAtMs,
    })),
    scoreCount: scores.length,
  };
}

function toProtoMessage({ role, content }: StoredMessage): ChatMessage {
  return { role: enumNames.Role.isName(role) ? enumNames.Role.toValue(role) : 'ROLE_UNSPECIFIED', content };
}

/** Undefined while the generation runs. */
function toFinishReason(stored: string | null): FinishReason | undefined {
  return stored !== null && enumNames.FinishReason.isName(stored) ? enumNames.FinishReason.toValue(stored) : undefined;
}
