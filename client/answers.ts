/**
 * Answers in the client's types. The contract's messages are read as plain data (`proto/plain-message.ts`); what is
 * left to do here is to require the parts that every answer has.
 */

import { enumNames } from '../proto/enum-names.js';
import type { EraseSubjectResponse__Output } from '../proto/generated/hone/v1/EraseSubjectResponse.js';
import type { Event__Output } from '../proto/generated/hone/v1/Event.js';
import type { ExplainGenerationResponse__Output } from '../proto/generated/hone/v1/ExplainGenerationResponse.js';
import type { FeedbackOutcome__Output } from '../proto/generated/hone/v1/FeedbackOutcome.js';
import type { GenerateResponse__Output } from '../proto/generated/hone/v1/GenerateResponse.js';
import type { Generation__Output } from '../proto/generated/hone/v1/Generation.js';
import type { GetServerStatusResponse__Output } from '../proto/generated/hone/v1/GetServerStatusResponse.js';
import type { ImportReplayResponse__Output } from '../proto/generated/hone/v1/ImportReplayResponse.js';
import type { LearnerStatus__Output } from '../proto/generated/hone/v1/LearnerStatus.js';
import type { RewardSettings__Output } from '../proto/generated/hone/v1/RewardSettings.js';
import type { RolloutStatus__Output } from '../proto/generated/hone/v1/RolloutStatus.js';
import type { StreamGenerateResponse__Output } from '../proto/generated/hone/v1/StreamGenerateResponse.js';
import type { Version__Output } from '../proto/generated/hone/v1/Version.js';
import { type Plain, plainMessage } from '../proto/plain-message.js';
import { HoneClientError } from './errors.js';
import type {
  ErasureResult,
  Explanation,
  FeedbackOutcome,
  GenerateEvent,
  GenerateResult,
  Generation,
  HoneEvent,
  ImportResult,
  LearnerStatus,
  RewardSettings,
  RolloutStatus,
  ServerStatus,
  Version,
} from './types/index.js';

/** A message that may be absent by its type and may not be by its meaning. @throws HoneClientError `DATA_LOSS` */
function required<Value>(value: Value | null | undefined, what: string): Value {
  if (value !== null && value !== undefined) return value;
  throw new HoneClientError(`the server answered without ${what}: check that it is a Hone server of this release`, {
    code: 'DATA_LOSS',
    status: 'DATA_LOSS',
  });
}

export function toGenerateResult(message: GenerateResponse__Output): GenerateResult {
  const { usage, ...result } = plainMessage('GenerateResponse', message);
  return { ...result, usage: required(usage, 'the usage') };
}

/** The events that one message of a stream holds, in order. */
export function* toGenerateEvents(message: StreamGenerateResponse__Output): Generator<GenerateEvent> {
  const { started, chunks, finished, usage } = plainMessage('StreamGenerateResponse', message);
  if (started !== undefined) yield { type: 'started', ...started };
  for (const chunk of chunks) yield { type: 'chunk', ...chunk };
  for (const end of finished) yield { type: 'finished', ...end };
  if (usage !== undefined) yield { type: 'usage', ...usage };
}

export function toGeneration(message: Generation__Output | null): Generation {
  return plainMessage('Generation', required(message, 'the generation'));
}

export function toExplanation(message: ExplainGenerationResponse__Output): Explanation {
  return plainMessage('ExplainGenerationResponse', message);
}

export function toFeedbackOutcome(message: FeedbackOutcome__Output): FeedbackOutcome {
  const { position, sequence, generationId, error } = message;
  const status = enumNames.FeedbackStatus.toName(message.status) ?? 'unknown';
  if (status === 'refused') {
    return { position, status, error: HoneClientError.fromStatus(required(error, 'the reason of a refusal')) };
  }
  return {
    position,
    status,
    ...(sequence === undefined ? {} : { sequence }),
    ...(generationId === '' ? {} : { generationId }),
  };
}

export function toVersion(message: Version__Output | null): Version {
  return plainMessage('Version', required(message, 'the version'));
}

export function toRolloutStatus(message: RolloutStatus__Output | null): RolloutStatus {
  return completeRollout(plainMessage('RolloutStatus', required(message, 'the rollout')));
}

function completeRollout({ trial, ...rollout }: Plain<RolloutStatus__Output>): RolloutStatus {
  if (trial === undefined) return rollout;
  const { canary, ...shadow } = trial;
  if (canary === undefined) return { ...rollout, trial: shadow };
  const live = required(canary.live, "the canary's live side");
  const candidate = required(canary.candidate, "the canary's candidate side");
  return { ...rollout, trial: { ...shadow, canary: { ...canary, live, candidate } } };
}

export function toLearnerStatus(message: LearnerStatus__Output | null): LearnerStatus {
  return completeLearner(plainMessage('LearnerStatus', required(message, 'the learner')));
}

function completeLearner({ buffer, ...learner }: Plain<LearnerStatus__Output>): LearnerStatus {
  return { ...learner, buffer: required(buffer, "the learner's buffer") };
}

function completeReward({ defaultMetric, ...reward }: Plain<RewardSettings__Output>): RewardSettings {
  return { ...reward, defaultMetric: required(defaultMetric, 'the default metric') };
}

export function toServerStatus(message: GetServerStatusResponse__Output): ServerStatus {
  const { live, serving, replay, learner, reward, exploration, rollout, ...status } = plainMessage(
    'GetServerStatusResponse',
    message,
  );
  return {
    ...status,
    live: required(live, 'the live version'),
    serving: required(serving, 'the serving status'),
    replay: required(replay, 'the status of the store'),
    learner: completeLearner(required(learner, 'the learner')),
    reward: completeReward(required(reward, 'the reward settings')),
    exploration: required(exploration, 'the exploration status'),
    rollout: completeRollout(required(rollout, 'the rollout')),
  };
}

export function toErasureResult(message: EraseSubjectResponse__Output): ErasureResult {
  return plainMessage('EraseSubjectResponse', message);
}

export function toImportResult({ imported, skipped, refused, refusals }: ImportReplayResponse__Output): ImportResult {
  return {
    imported,
    skipped,
    refused,
    refusals: refusals.flatMap(({ line, error }) =>
      error === null ? [] : [{ line, error: HoneClientError.fromStatus(error) }],
    ),
  };
}

export function toEvent(message: Event__Output): HoneEvent {
  return plainMessage('Event', message);
}
