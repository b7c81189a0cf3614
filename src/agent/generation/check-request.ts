/**
 * Checks a request for completions and fills in its defaults, which lie beside the schema.
 *
 * `max_tokens` is lowered to what the model's context can hold after the prompt. A prompt that leaves no room for a
 * token is refused.
 */

import { z } from 'zod';
import { HoneError } from '../../errors.js';
import type { EncodingJob, Package, TextEncoding } from '../../package/index.js';
import type { SamplingSettings } from '../../policy/index.js';
import { groupKey } from '../../replay/index.js';
import { checkKnownTokens } from '../known-tokens.js';
import { check, invalidRequest, listUpTo, mapUpTo, numberBetween, textUpTo, wholeBetween } from '../request-errors.js';
import type { StoreOutage } from '../store-outage.js';
import { answerBytes as expectedAnswerBytes } from './answer-size.js';
import type { GenerateInput } from './types.js';

/** Most completions of one request. */
export const maxCompletions = 64;

/** Most messages of a chat, and most tokens of a map of biases. */
const maxMessages = 2048;
const maxBiases = 2048;

/** Characters of a chat per token of context. A chat template may leave out some of them. */
const charactersPerToken = 128;

const sampling = z.object({
  maxTokens: wholeBetween(1, 2 ** 31 - 1).default(128),
  temperature: numberBetween(0, 10).default(1),
  topP: numberBetween(Number.MIN_VALUE, 1, 'must be a number above 0 and at most 1').default(1),
  topK: wholeBetween(0, 2 ** 31 - 1).default(0),
  minP: numberBetween(0, 1 - Number.EPSILON, 'must be a number from 0 to below 1').default(0),
  stop: listUpTo(textUpTo(256).min(1, { error: 'must not be empty' }), 16, 'texts').prefault([]),
  ignoreEos: z.boolean().default(false),
  presencePenalty: numberBetween(-2, 2).default(0),
  frequencyPenalty: numberBetween(-2, 2).default(0),
  repetitionPenalty: numberBetween(Number.MIN_VALUE, 10, 'must be a number above 0 and at most 10').default(1),
  logitBias: mapUpTo(z.string(), numberBetween(-100, 100), maxBiases, 'tokens').prefault({}),
});

const message = z.object({
  role: z.enum(['system', 'user', 'assistant'], { error: 'must be system, user or assistant' }),
  // An earlier answer may have been empty.
  content: z.string({ error: 'must be a text' }),
});

const generate = z.object({
  messages: listUpTo(message, maxMessages, 'messages').prefault([]),
  prompt: z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' }).optional(),
  sampling: sampling.prefault({}),
  n: wholeBetween(1, maxCompletions).default(1),
  seed: wholeBetween(0, 2 ** 32 - 1).optional(),
  logprobs: z.boolean().default(false),
  topLogprobs: wholeBetween(0, 20).default(0),
  store: z.boolean().default(true),
  subject: textUpTo(256).default(''),
  version: wholeBetween(0, 2 ** 32 - 1).optional(),
  metadata: mapUpTo(textUpTo(64), textUpTo(512), 16, 'labels').prefault({}),
});

/** A request that can run. */
export interface CheckedRequest {
  readonly promptTokens: readonly number[];
  /** Key that completions of one prompt under one package share. */
  readonly groupKey: string;
  /** Bytes that the answer is expected to take in one message; 0 if it is streamed. */
  readonly answerBytes: number;
  readonly sampling: SamplingSettings;
  readonly n: number;
  /** Of completion 0. */
  readonly seed: number;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
  readonly store: boolean;
  readonly subject: string;
  readonly version: number | undefined;
  /** The prompt as the caller sent it, for the store: `{"prompt"}` or `{"messages"}`. */
  readonly promptJson: string;
  /** The labels of the app, for the store. */
  readonly metadataJson: string;
}

/** A request whose fields are as in the contract, with their defaults. Its prompt is not encoded yet. */
export type CheckedFields = z.output<typeof generate> & Pick<GenerateInput, 'maxAnswerBytes'>;

/** Checks a request against the contract, without its prompt. @throws HoneError `INVALID_REQUEST` */
export function checkGenerate(input: GenerateInput): CheckedFields {
  const request = check(generate, withoutUndefined(input));
  const { messages, prompt, topLogprobs } = request;
  if ((prompt === undefined) === (messages.length === 0)) {
    const description =
      prompt === undefined ? 'give messages or a prompt' : 'give either messages or a prompt, not both';
    throw invalidRequest([{ field: 'prompt', description }]);
  }
  if (topLogprobs > 0 && !request.logprobs) {
    throw invalidRequest([{ field: 'top_logprobs', description: 'needs logprobs to be true' }]);
  }
  return { ...request, maxAnswerBytes: input.maxAnswerBytes };
}

/** What {@link encodeRequest} needs beside the request. */
export interface RequestParts {
  readonly pkg: Package;
  readonly encoding: TextEncoding;
  /** Draws a seed for a request that names none. */
  readonly randomSeed: () => number;
  /** Knows whether an answer is kept, so that what does not fit into a message can be fetched. */
  readonly storeOutage: Pick<StoreOutage, 'keepsAnswers'>;
}

/**
 * Encodes the prompt of a request, and checks the request against the package.
 * @param signal ends the wait for the prompt
 * @throws HoneError `INVALID_REQUEST`, `PROMPT_TOO_LONG`, `QUEUE_FULL`, `WORKER_CRASHED`; or the signal's reason
 */
export async function encodeRequest(
  request: CheckedFields,
  { pkg, encoding, randomSeed, storeOutage }: RequestParts,
  signal?: AbortSignal,
): Promise<CheckedRequest> {
  const { messages, prompt, topLogprobs, maxAnswerBytes } = request;
  const job =
    prompt === undefined
      ? { as: 'chat' as const, messages, maxTokens: pkg.config.contextLength }
      : { as: 'text' as const, text: prompt };
  const promptTokens = await tokenize(job, pkg, encoding, signal);
  const room = pkg.config.contextLength - promptTokens.length;
  const maxTokens = Math.min(request.sampling.maxTokens, room);
  const store = request.store && storeOutage.keepsAnswers;
  const answerBytes =
    maxAnswerBytes === undefined ? 0 : checkAnswerSize({ ...request, maxTokens, store }, pkg, maxAnswerBytes);
  return {
    promptTokens,
    groupKey: groupKey(pkg.digest, promptTokens),
    answerBytes,
    sampling: {
      ...request.sampling,
      maxTokens,
      logitBias: checkBias(request.sampling.logitBias, pkg.config.vocabularySize),
      topLogprobs,
    },
    n: request.n,
    seed: request.seed ?? randomSeed(),
    logprobs: request.logprobs,
    topLogprobs,
    store: request.store,
    subject: request.subject,
    version: request.version,
    promptJson: JSON.stringify(prompt === undefined ? { messages } : { prompt }),
    metadataJson: JSON.stringify(request.metadata),
  };
}

async function tokenize(
  job: EncodingJob,
  pkg: Package,
  encoding: TextEncoding,
  signal: AbortSignal | undefined,
): Promise<readonly number[]> {
  const field = job.as === 'chat' ? 'messages' : 'prompt';
  const { contextLength } = pkg.config;
  const [characters, perToken] =
    job.as === 'chat'
      ? [job.messages.reduce((sum, { content }) => sum + content.length, 0), charactersPerToken]
      : [job.text.length, pkg.tokenizer.charactersPerToken];
  if (characters > contextLength * perToken) {
    throw tooLong(field, `${characters} characters are too many for a context of ${contextLength} tokens`);
  }
  const tokens = await encoding.encode(job, signal);
  if (tokens.length === 0) throw invalidRequest([{ field, description: 'holds no token' }]);
  checkKnownTokens(tokens, pkg.config, field);
  if (tokens.length >= contextLength) {
    throw tooLong(field, `${tokens.length} tokens leave no room in a context of ${contextLength} tokens`);
  }
  return tokens;
}

/** @returns the bytes that an answer in one message is expected to take */
function checkAnswerSize(
  asked: Pick<CheckedRequest, 'n' | 'logprobs' | 'topLogprobs' | 'store'> & { readonly maxTokens: number },
  { tokenizer }: Package,
  maxBytes: number,
): number {
  const bytes = expectedAnswerBytes(asked, tokenizer.tokenBytes, !asked.store);
  if (bytes <= maxBytes) return bytes;
  const { n, maxTokens, topLogprobs, store } = asked;
  const size = `${n} completions of up to ${maxTokens} tokens with ${topLogprobs} alternatives take ${store ? 'about' : 'up to'} ${bytes} bytes`;
  const description = `${size}, and one answer holds at most ${maxBytes}: use StreamGenerate, or ask for fewer completions, tokens or alternatives`;
  throw invalidRequest([{ field: 'n', description }]);
}

function tooLong(field: string, description: string): HoneError {
  return new HoneError('PROMPT_TOO_LONG', `the prompt is too long: ${description}; shorten it`, {
    violations: [{ field, description }],
  });
}

function checkBias(bias: Readonly<Record<string, number>>, vocabularySize: number): Record<number, number> {
  for (const token of Object.keys(bias)) {
    const id = Number(token);
    if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
      const description = `must be keyed by token ids from 0 to ${vocabularySize - 1}`;
      throw invalidRequest([{ field: `sampling.logit_bias["${token}"]`, description }]);
    }
  }
  return bias;
}

/** The seed of a completion: distinct streams from one seed, completion 0 on the seed itself. */
export function completionSeed(seed: number, completion: number): number {
  return (seed + Math.imul(completion, 0x9e3779b1)) >>> 0;
}

/** Drops fields that are undefined, so that they get their defaults as absent fields do. */
function withoutUndefined(input: GenerateInput): unknown {
  const defined = (value: object) => Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined));
  return { ...defined(input), ...(input.sampling === undefined ? {} : { sampling: defined(input.sampling) }) };
}
