/** Rejects requests that would break the worker. The caller validates everything else. */

import { HoneError } from '../errors.js';
import type { DecoderConfig } from '../package/index.js';
import type { CompletionRequest } from './completion-request.js';

/** @throws HoneError `INVALID_REQUEST`, `PROMPT_TOO_LONG` */
export function checkRequest(request: CompletionRequest, { contextLength, vocabularySize }: DecoderConfig): void {
  const { promptTokens, completions, sampling } = request;
  const outside = `a token outside 0..${vocabularySize - 1}`;
  const isToken = (token: number): boolean => Number.isInteger(token) && token >= 0 && token < vocabularySize;
  if (promptTokens.length === 0) refuse('prompt', 'has no token');
  if (completions.length === 0) refuse('n', 'must be at least 1');
  if (!promptTokens.every(isToken)) refuse('prompt', `contains ${outside}`);
  if (!Object.keys(sampling.logitBias).every((token) => isToken(Number(token)))) {
    refuse('logit_bias', `names ${outside}`);
  }
  if (promptTokens.length >= contextLength) {
    throw new HoneError(
      'PROMPT_TOO_LONG',
      `the prompt has ${promptTokens.length} tokens and leaves no room for a completion in a context of ${contextLength}; ` +
        'shorten it',
      { violations: [{ field: 'prompt', description: 'is too long' }] },
    );
  }
  const room = contextLength - promptTokens.length;
  for (const [index, { forced }] of completions.entries()) {
    if (forced === undefined) continue;
    const field = `completions[${index}].forced`;
    if (forced.length === 0) refuse(field, 'has no token');
    if (!forced.every(isToken)) refuse(field, `contains ${outside}`);
    if (forced.length > room) refuse(field, `has ${forced.length} tokens, but the context has room for ${room}`);
  }
}

function refuse(field: string, description: string): never {
  throw new HoneError('INVALID_REQUEST', `${field}: ${description}`, { violations: [{ field, description }] });
}
