/**
 * Checks what a caller gives to the client, before anything is sent: a key that the client does not know would be
 * ignored, a number that does not fit its field would become another one, and text that is not valid UTF-16 would reach
 * the server with other characters. The server checks the values themselves.
 */

import { enumNames } from '../proto/enum-names.js';
import { type FieldViolation, HoneClientError } from './errors.js';
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

/** Most faults that are collected. Then the check stops, however much is left. */
const mostViolations = 10;

/** The faults that were found so far. */
class Findings {
  readonly violations: FieldViolation[] = [];

  get full(): boolean {
    return this.violations.length >= mostViolations;
  }

  add(field: string, description: string): void {
    if (!this.full) this.violations.push({ field, description });
  }
}

/** Checks the value at a path. */
type Check = (value: unknown, path: string, found: Findings) => void;

/** A check for each key of a type, so that the compiler notices a key that is missing here. */
type Fields<Type> = { readonly [Key in keyof Type]-?: Check };

/** Makes a check of a description of what is wrong with a value; undefined if nothing is. */
function simple(describe: (value: unknown) => string | undefined): Check {
  return (value, path, found) => {
    const wrong = describe(value);
    if (wrong !== undefined) found.add(path, wrong);
  };
}

function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

/** Names a value by its type only, because texts of users do not belong into messages. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'an array' : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}

const text = simple((value) => {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`;
  const { index } = /\p{Surrogate}/u.exec(value) ?? {};
  return index === undefined
    ? undefined
    : `is no valid UTF-16: half of a surrogate pair stands alone at index ${index}; send whole characters`;
});

const number = simple((value) => (typeof value === 'number' ? undefined : `must be a number, not ${kindOf(value)}`));

const flag = simple((value) =>
  typeof value === 'boolean' ? undefined : `must be true or false, not ${kindOf(value)}`,
);

function between(min: number, max: number, whole = true): Check {
  return simple((value) => {
    const fits = typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
    return fits ? undefined : `must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not ${kindOf(value)}`;
  });
}

const int32 = between(-(2 ** 31), 2 ** 31 - 1);
const uint32 = between(0, 2 ** 32 - 1);
const sequence = between(0, Number.MAX_SAFE_INTEGER);
const milliseconds = between(0, Number.POSITIVE_INFINITY, false);
const attempts = simple((value) =>
  typeof value === 'number' && value >= 1 ? undefined : `must be a number of at least 1, not ${kindOf(value)}`,
);

/** Some proxies want a token that carries claims, which takes thousands of characters. */
const mostTokenCharacters = 8192;

/** A blank would end the token. */
const token = simple((value) =>
  typeof value === 'string' && value.length <= mostTokenCharacters && /^[\x21-\x7e]+$/.test(value)
    ? undefined
    : `must be 1 to ${mostTokenCharacters} printable ASCII characters without blanks`,
);

/** gRPC cannot send other characters in a header, and HTTP/2 allows no blank at either end of one. */
const requestId = simple((value) =>
  typeof value === 'string' && value.length <= 256 && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
    ? undefined
    : 'must be 1 to 256 printable ASCII characters, with blanks only between others',
);

const signal = simple((value) =>
  value instanceof AbortSignal ? undefined : `must be an AbortSignal, not ${kindOf(value)}`,
);

const pem = simple((value) => (value instanceof Uint8Array ? undefined : `must be a Buffer, not ${kindOf(value)}`));

const absent: Check = (_, path, found) => found.add(path, 'does not belong into this kind of item: leave it out');

function oneOf(names: readonly string[], orNull = false): Check {
  const known = new Set<unknown>(orNull ? [...names, null] : names);
  const list = [...names, ...(orNull ? ['null'] : [])].join(', ');
  return simple((value) => (known.has(value) ? undefined : `must be one of ${list}`));
}

function listOf(check: Check): Check {
  return (value, path, found) => {
    if (!Array.isArray(value)) {
      found.add(path, `must be an array, not ${kindOf(value)}`);
      return;
    }
    for (let i = 0; i < value.length && !found.full; i++) check(value[i], `${path}[${i}]`, found);
  };
}

/** Checks a map: any keys are allowed, whatever they are called. */
function mapOf(checkKey: (key: string) => string | undefined, check: Check): Check {
  return (value, path, found) => {
    if (!isRecord(value)) {
      found.add(path, `must be an object, not ${kindOf(value)}`);
      return;
    }
    for (const [key, one] of Object.entries(value)) {
      if (found.full) return;
      const wrong = checkKey(key);
      if (wrong === undefined) check(one, `${path}[${JSON.stringify(key)}]`, found);
      else found.add(path, wrong);
    }
  };
}

const labels = mapOf(
  (key) => (isWellFormed(key) ? undefined : `holds the key ${JSON.stringify(key)}, which is no valid UTF-16`),
  text,
);
const biases = mapOf(
  (key) =>
    /^\d{1,10}$/.test(key) && Number(key) < 2 ** 32
      ? undefined
      : `holds the key ${JSON.stringify(key)}, which is no token id`,
  number,
);

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Checks an object: it has no other keys than these, and the required ones.
 * @param hints advice for keys that are unknown, by key
 */
function object<Type>(
  fields: Fields<Type>,
  required: readonly (keyof Type & string)[] = [],
  hints: Readonly<Record<string, string>> = {},
): Check {
  const checks = new Map<string, Check>(Object.entries(fields));
  return (value, path, found) => {
    if (!isRecord(value)) {
      found.add(path, `must be an object, not ${kindOf(value)}`);
      return;
    }
    const below = (key: string): string => (path === '' ? key : `${path}.${key}`);
    for (const key of required) if (value[key] === undefined) found.add(below(key), 'is missing');
    for (const [key, one] of Object.entries(value)) {
      if (found.full) return;
      const check = checks.get(key);
      if (check === undefined) found.add(below(key), unknownKey(key, [...checks.keys()], hints));
      else if (one !== undefined) check(one, below(key), found);
    }
  };
}

function unknownKey(key: string, known: readonly string[], hints: Readonly<Record<string, string>>): string {
  const hint = Object.hasOwn(hints, key) ? hints[key] : nearest(key, known);
  return `is not known${hint === undefined ? `; known are ${known.join(', ')}` : `; ${hint}`}`;
}

/** Advises the name that differs least, if it differs little. */
function nearest(key: string, known: readonly string[]): string | undefined {
  // Longer keys are no slips of the finger, and comparing them would take long.
  if (key.length > 64) return undefined;
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const distances = known.map((name) => [distance(plain(key), plain(name)), name] as const);
  const [least, name] = distances.reduce(
    (best, one) => (one[0] < best[0] ? one : best),
    [Number.POSITIVE_INFINITY, ''],
  );
  return least <= Math.max(1, Math.floor(name.length / 3)) ? `did you mean ${name}?` : undefined;
}

/** The number of characters to insert, delete or replace: Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

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
