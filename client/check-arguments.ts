/**
 * Checks what a caller gives to the client, before anything is sent: a key that the client does not know would be
 * ignored, a number that does not fit its field would become another one, and text that is not valid UTF-16 would reach
 * the server with other characters. The server checks the values themselves.
 */

import { enumNames } from '../proto/enum-names.js';
import { HoneClientError } from './errors.js';
import type {
  CallOptions,
  ChatMessage,
  ConnectOptions,
  EditItem,
  ExportFilter,
  FeedbackItem,
  FeedbackStreamOptions,
  GenerateInput,
  GenerateRequest,
  GenerateSettings,
  HoneEventType,
  Mode,
  PreferenceItem,
  RetryOptions,
  ScoreItem,
  TlsOptions,
  WatchOptions,
} from './types/index.js';
import {
  absent,
  attempts,
  between,
  biases,
  type Check,
  type Fields,
  Findings,
  flag,
  int32,
  isRecord,
  isWellFormed,
  labels,
  listOf,
  mapOf,
  milliseconds,
  number,
  object,
  oneOf,
  pem,
  requestId,
  sequence,
  signal,
  text,
  token,
  uint32,
} from './value-checks.js';

const chatMessage = object<ChatMessage>({ role: oneOf(enumNames.Role.names), content: text }, ['role', 'content']);

const generateFields: Fields<GenerateSettings> & Record<keyof GenerateInput, Check> = {
  messages: listOf(chatMessage),
  prompt: text,
  maxTokens: int32,
  temperature: number,
  topP: number,
  topK: int32,
  minP: number,
  stop: listOf(text),
  presencePenalty: number,
  frequencyPenalty: number,
  repetitionPenalty: number,
  logitBias: biases,
  ignoreEos: flag,
  n: int32,
  seed: uint32,
  logprobs: flag,
  topLogprobs: int32,
  store: flag,
  subject: text,
  version: uint32,
  metadata: labels,
};

const generate = object(generateFields, [], {
  sampling: 'temperature and the other settings of sampling stand directly in the request',
});

const by = { rater: text, metric: text, idempotencyKey: text };

const score = object<ScoreItem>(
  {
    ...by,
    generationId: text,
    score: (value, path, found) => (value === null ? undefined : number(value, path, found)),
    preference: absent,
    otherGenerationId: absent,
    edit: absent,
  },
  ['generationId', 'score'],
);

const preference = object<PreferenceItem>(
  {
    ...by,
    generationId: text,
    otherGenerationId: text,
    preference: oneOf(['better', 'worse', 'tie'], true),
    score: absent,
    edit: absent,
  },
  ['generationId', 'otherGenerationId', 'preference'],
);

const edit = object<EditItem>(
  { ...by, generationId: text, edit: text, score: number, preference: absent, otherGenerationId: absent },
  ['generationId', 'edit', 'score'],
);

const feedbackItem: Check = (value, path, found) => {
  const { edit: edited, preference: preferred } = isRecord(value) ? value : {};
  const kind = edited !== undefined ? edit : preferred !== undefined ? preference : score;
  kind(value, path, found);
};

const retry = object<RetryOptions>({
  maxAttempts: attempts,
  baseDelayMs: milliseconds,
  maxDelayMs: milliseconds,
  maxElapsedMs: milliseconds,
});

const callFields: Fields<CallOptions> = { timeoutMs: milliseconds, signal, requestId, retry };

const tls: Check = (value, path, found) => {
  if (typeof value === 'boolean') return;
  object<Exclude<TlsOptions, boolean>>({ rootCertificates: pem, certificateChain: pem, privateKey: pem })(
    value,
    path,
    found,
  );
};

const connection = object<ConnectOptions>({
  address: text,
  token,
  tls,
  connectTimeoutMs: milliseconds,
  timeoutMs: milliseconds,
  // Below this, a busy machine looks like a dead one. Timers of Node hold at most 24.8 days.
  keepaliveMs: between(300, 86_400_000, false),
  retry,
});

/** Options of single methods, beside those of every call. */
const extraFields = {
  none: {},
  versions: { pageSize: int32 } satisfies Fields<{ pageSize: number }>,
  watch: {
    afterSequence: sequence,
    types: listOf(oneOf(enumNames.EventType.names satisfies readonly HoneEventType[])),
  } satisfies Fields<WatchOptions>,
  export: { subject: text, sinceMs: sequence, scored: flag } satisfies Fields<ExportFilter>,
  erase: { retrain: flag } satisfies Fields<{ retrain: boolean }>,
  feedbackStream: {
    maxUnanswered: between(1, Number.MAX_SAFE_INTEGER),
    maxItemsPerMessage: between(1, Number.MAX_SAFE_INTEGER),
  } satisfies Fields<FeedbackStreamOptions>,
};

const optionChecks = Object.fromEntries(
  Object.entries(extraFields).map(([name, extra]) => [name, object({ ...callFields, ...extra })]),
) as unknown as Readonly<Record<keyof typeof extraFields, Check>>;

function refuse(what: string, check: Check, value: unknown, path = ''): void {
  const found = new Findings();
  check(value, path, found);
  const { violations } = found;
  if (violations.length === 0) return;
  const faults = violations.map(({ field, description }) => `${field === '' ? 'it' : field} ${description}`);
  throw new HoneClientError(`${what} invalid: ${faults.join('; ')}`, {
    code: 'INVALID_REQUEST',
    status: 'INVALID_ARGUMENT',
    violations,
  });
}

/** @throws HoneClientError `INVALID_REQUEST` */
export function checkConnectOptions(options: ConnectOptions): void {
  refuse('the options of connect are', connection, options);
}

/**
 * @param method whose options they are, if it has more than those of every call
 * @throws HoneClientError `INVALID_REQUEST`
 */
export function checkOptions(options: object, method: keyof typeof extraFields = 'none'): void {
  refuse('the options of the call are', optionChecks[method], options);
}

/** @throws HoneClientError `INVALID_REQUEST` */
export function checkGenerateRequest(request: GenerateRequest): void {
  refuse('the request is', generate, request);
  const { prompt, messages } = request as { readonly prompt?: unknown; readonly messages?: unknown };
  const given = (prompt === undefined ? 0 : 1) + (messages === undefined ? 0 : 1);
  if (given === 1) return;
  const wrong = given === 0 ? 'or messages is missing: give one of them' : 'and messages exclude each other: give one';
  refuse('the request is', (_, path, found) => found.add(path, wrong), request, 'prompt');
}

/** @throws HoneClientError `INVALID_REQUEST` */
export function checkFeedbackItem(item: FeedbackItem): void {
  refuse('the item of feedback is', feedbackItem, item);
}

/** @throws HoneClientError `INVALID_REQUEST` */
export function checkFeedbackItems(items: readonly FeedbackItem[]): void {
  refuse('the feedback is', listOf(feedbackItem), items, 'items');
}

/** Arguments of a method that are no object. */
interface Arguments {
  readonly generationId?: string;
  readonly number?: number;
  readonly subject?: string;
  readonly reason?: string;
  readonly service?: string;
  readonly mode?: Mode;
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

const argumentsOf = object<Arguments>({
  generationId: text,
  number: uint32,
  subject: text,
  reason: text,
  service: text,
  mode: oneOf(enumNames.Mode.names),
  files: mapOf((name) => (isWellFormed(name) ? undefined : 'holds a name that is no valid UTF-16'), pem),
});

/** @throws HoneClientError `INVALID_REQUEST`, also if one of the arguments is undefined */
export function checkArguments(given: Arguments): void {
  const missing = Object.entries(given).find(([, value]) => value === undefined);
  if (missing === undefined) refuse('the request is', argumentsOf, given);
  else refuse('the request is', (_, path, found) => found.add(path, 'is missing'), given, missing[0]);
}
