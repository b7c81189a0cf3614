/** Between the contract's messages and the client's words: enums become short lower-case names, unset fields are absent. */

import { v7 as uuidv7 } from 'uuid';
import type { EventType } from '../proto/generated/hone/v1/EventType.js';
import type { FeedbackItem as FeedbackItemMessage } from '../proto/generated/hone/v1/FeedbackItem.js';
import type { FeedbackOutcome__Output } from '../proto/generated/hone/v1/FeedbackOutcome.js';
import type { GenerateRequest as GenerateRequestMessage } from '../proto/generated/hone/v1/GenerateRequest.js';
import type { ImportReplayResponse__Output } from '../proto/generated/hone/v1/ImportReplayResponse.js';
import type { Mode as ModeMessage } from '../proto/generated/hone/v1/Mode.js';
import type { PreferenceOutcome } from '../proto/generated/hone/v1/PreferenceOutcome.js';
import type { StreamGenerateResponse__Output } from '../proto/generated/hone/v1/StreamGenerateResponse.js';
import type { WatchEventsRequest } from '../proto/generated/hone/v1/WatchEventsRequest.js';
import { HoneClientError } from './errors.js';
import type {
  FeedbackItem,
  FeedbackOutcome,
  GenerateEvent,
  GenerateRequest,
  HoneEventType,
  ImportResult,
  Mode,
} from './types/index.js';

const enumPrefix =
  /^(ROLE|FINISH_REASON|GENERATION_STATE|FEEDBACK_STATUS|LEARNER_STATE|VERSION_STATE|VERSION_ORIGIN|PROBE_VERDICT|EVENT_TYPE|LATE_SCORES|MODE|CHECK_OUTCOME|VERSION_WEIGHTS|GENERATION_ORIGIN|IGNORED_BECAUSE|METRIC_STATE|PREFERENCE_OUTCOME|TRAINING_OBSTACLE|RATER_STATE)_([A-Z_]+)$/;
/** The fields that hold enums: text elsewhere may look like anything. */
const enumFields = new Set([
  'role',
  'reason',
  'finishReason',
  'state',
  'status',
  'origin',
  'probeVerdict',
  'type',
  'late',
  'ignoredBecause',
  'obstacles',
  'mode',
  'outcome',
  'weights',
]);

/**
 * A message as the client's types describe it: without the loader's `_field` marks of optional fields, without nulls,
 * enums as short lower-case names, unspecified ones absent.
 */
export function plain<T>(message: unknown): T {
  return simplify(message) as T;
}

function simplify(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(simplify);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    // The loader marks a present optional field `x` with `_x: 'x'`, and a oneof with its field's name.
    if (key === `_${String(field)}` || field === null || field === undefined) continue;
    const short = enumFields.has(key) ? shortNames(field) : field;
    if (short !== undefined) result[key] = simplify(short);
  }
  return result;
}

/** An enum, or a list of them, by its short name; what is no enum stays, an unspecified one is gone. */
function shortNames(field: unknown): unknown {
  if (Array.isArray(field)) return field.map(shortNames);
  const name = typeof field === 'string' ? enumPrefix.exec(field)?.[2] : undefined;
  return name === 'UNSPECIFIED' ? undefined : (name?.toLowerCase() ?? field);
}

function withoutUndefined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** The message of a request, streamed or not. */
export function toGenerateMessage(request: GenerateRequest): GenerateRequestMessage {
  const { messages, prompt, n, seed, logprobs, topLogprobs, store, subject, version, metadata, ...sampling } = request;
  return withoutUndefined({
    messages: messages?.map(({ role, content }) => ({ role: `ROLE_${role.toUpperCase()}`, content })),
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

/** The events that one message of a stream holds, in order. */
export function* toGenerateEvents(message: StreamGenerateResponse__Output): Generator<GenerateEvent> {
  const { started, chunks, finished, usage } = plain<{
    started?: object;
    chunks: object[];
    finished: object[];
    usage?: object;
  }>(message);
  if (started !== undefined) yield { type: 'started', ...started } as GenerateEvent;
  for (const chunk of chunks) yield { type: 'chunk', ...chunk } as GenerateEvent;
  for (const end of finished) yield { type: 'finished', ...end } as GenerateEvent;
  if (usage !== undefined) yield { type: 'usage', ...usage } as GenerateEvent;
}

/**
 * The message of one item, with an idempotency key in any case: by default one that grows with time, which the server's
 * store keeps at half the price of a random one.
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
    const outcome = `PREFERENCE_OUTCOME_${(item.preference ?? 'retracted').toUpperCase()}` as PreferenceOutcome;
    return { preference: { otherGenerationId: item.otherGenerationId, outcome } };
  }
  return item.score === null ? { retraction: {} } : { score: item.score };
}

/** The outcome of one item. */
export function toFeedbackOutcome(message: FeedbackOutcome__Output): FeedbackOutcome {
  if (message.status === 'FEEDBACK_STATUS_REFUSED' && message.error !== null) {
    return { position: message.position, status: 'refused', error: HoneClientError.fromStatus(message.error) };
  }
  const { position, sequence, generationId } = message;
  const status = message.status.slice('FEEDBACK_STATUS_'.length).toLowerCase() as 'stored';
  return {
    position,
    status,
    ...(sequence === undefined ? {} : { sequence }),
    ...(generationId === '' ? {} : { generationId }),
  };
}

/** The message that asks for events. */
export function toWatchMessage(
  afterSequence: number | undefined,
  types: readonly HoneEventType[] | undefined,
): WatchEventsRequest {
  return {
    types: (types ?? []).map((type) => `EVENT_TYPE_${type.toUpperCase()}` as EventType),
    ...(afterSequence === undefined ? {} : { afterSequence }),
  };
}

/** A mode in the contract's words. */
export function toModeMessage(mode: Mode): ModeMessage {
  return `MODE_${mode.toUpperCase()}` as ModeMessage;
}

/** What became of an import. */
export function toImportResult({ refusals, ...counts }: ImportReplayResponse__Output): ImportResult {
  return {
    ...plain<Omit<ImportResult, 'refusals'>>(counts),
    refusals: refusals.flatMap(({ line, error }) =>
      error === null ? [] : [{ line, error: HoneClientError.fromStatus(error) }],
    ),
  };
}
