/** Requests in the contract's messages: short names become enum values, and what is absent is left out. */

import { v7 as uuidv7 } from 'uuid';
import { enumNames } from '../proto/enum-names.js';
import type { FeedbackItem as FeedbackItemMessage } from '../proto/generated/hone/v1/FeedbackItem.js';
import type { GenerateRequest as GenerateRequestMessage } from '../proto/generated/hone/v1/GenerateRequest.js';
import type { SetModeRequest } from '../proto/generated/hone/v1/SetModeRequest.js';
import type { WatchEventsRequest } from '../proto/generated/hone/v1/WatchEventsRequest.js';
import type { FeedbackItem, GenerateRequest, Mode } from './types/index.js';

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
  if (item.edit !== undefined) return { edit: { text: item.edit, score: item.score } };
  if (item.preference !== undefined) {
    const outcome = enumNames.PreferenceOutcome.toValue(item.preference ?? 'retracted');
    return { preference: { otherGenerationId: item.otherGenerationId, outcome } };
  }
  return item.score === null ? { retraction: {} } : { score: item.score };
}

/** The message that asks for all events after this one; for those from now on if it is undefined. */
export function toWatchMessage(afterSequence: number | undefined): WatchEventsRequest {
  return afterSequence === undefined ? {} : { afterSequence };
}

/** The message that sets the mode. */
export function toModeMessage(mode: Mode): SetModeRequest {
  return { mode: enumNames.Mode.toValue(mode) };
}
