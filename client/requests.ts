/** Requests in the contract's messages: short names become enum values, and what is absent is left out. */

import { v7 as uuidv7 } from 'uuid';
import { enumNames } from '../proto/enum-names.js';
import type { FeedbackItem as FeedbackItemMessage } from '../proto/generated/hone/v1/FeedbackItem.js';
import type { GenerateRequest as GenerateRequestMessage } from '../proto/generated/hone/v1/GenerateRequest.js';
import type { SetModeRequest } from '../proto/generated/hone/v1/SetModeRequest.js';
import type { WatchEventsRequest } from '../proto/generated/hone/v1/WatchEventsRequest.js';
import type { FeedbackItem, GenerateRequest, HoneEventType, Mode } from './types/index.js';

/** The message of a request, streamed or not. */
export function toGenerateMessage(request: GenerateRequest): GenerateRequestMessage {
  const { messages, prompt, n, seed, logprobs, topLogprobs, store, subject, version, metadata, ...sampling } = request;
  return withoutUndefined({
    messages: messages?.map(({ role, content }) => ({ role: enumNames.Role.toValue(role), content })),
    sampling: withoutUndefined(sampling),
    prompt,
    n,
    seed,
    logprobs,
    topLogprobs,
    store,
    subject,
    version,
    metadata,
  });
}

function withoutUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/**
 * The message of one item. It always has an idempotency key: by default one that grows with time, which costs the
 * server's store half of what a random one does.
 */
export function toFeedbackMessage(item: FeedbackItem): FeedbackItemMessage {
  return {
    generationId: item.generationId,
    ...toChange(item),
    rater: item.rater ?? '',
    metric: item.metric ?? '',
    idempotencyKey: item.idempotencyKey ?? uuidv7(),
  };
}

function toChange(item: FeedbackItem): Partial<FeedbackItemMessage> {
  if ('edit' in item) return { edit: { text: item.edit, score: item.score } };
  if ('preference' in item) {
    const outcome = enumNames.PreferenceOutcome.toValue(item.preference ?? 'retracted');
    return { preference: { otherGenerationId: item.otherGenerationId, outcome } };
  }
  return item.score === null ? { retraction: {} } : { score: item.score };
}

/** The message that asks for events. */
export function toWatchMessage(
  afterSequence: number | undefined,
  types: readonly HoneEventType[] | undefined,
): WatchEventsRequest {
  return {
    types: (types ?? []).map((type) => enumNames.EventType.toValue(type)),
    ...(afterSequence === undefined ? {} : { afterSequence }),
  };
}

/** The message that sets the mode. */
export function toModeMessage(mode: Mode): SetModeRequest {
  return { mode: enumNames.Mode.toValue(mode) };
}
