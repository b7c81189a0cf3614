/**
 * What the types of the client refuse. The compiler checks every line that expects an error: if the line compiles, the
 * build of the tests fails. At run time the client refuses the same.
 */

import { expect, it } from 'vitest';
import { checkConnectOptions, checkFeedbackItem, checkGenerateRequest } from '../../../client/check-arguments.js';
import {
  type ConnectOptions,
  type FeedbackItem,
  type GenerateRequest,
  HoneClientError,
} from '../../../client/index.js';

const requests: GenerateRequest[] = [
  { prompt: 'a', temperature: 0 },
  { messages: [{ role: 'user', content: 'a' }], subject: undefined },
];

const wrongRequests: GenerateRequest[] = [
  // @ts-expect-error: neither a prompt nor messages
  {},
  // @ts-expect-error: both
  { prompt: 'a', messages: [{ role: 'user', content: 'a' }] },
  // @ts-expect-error: a message of the contract that the client does not have
  { prompt: 'a', sampling: { temperature: 0 } },
  // @ts-expect-error: a name of the contract
  { prompt: 'a', max_tokens: 1 },
  // @ts-expect-error: an unknown role
  { messages: [{ role: 'tool', content: 'a' }] },
  // @ts-expect-error: an unknown key in a message
  { messages: [{ role: 'user', content: 'a', name: 'x' }] },
];

const wrongItems: FeedbackItem[] = [
  // @ts-expect-error: a score beside a preference
  { generationId: 'g', otherGenerationId: 'h', preference: 'tie', score: 1 },
  // @ts-expect-error: no score
  { generationId: 'g', edit: 'text' },
  // @ts-expect-error: an unknown key
  { generationId: 'g', score: 1, ratr: 'x' },
];

// @ts-expect-error: an unknown option
const wrongOptions: ConnectOptions = { adress: '127.0.0.1:1' };

/** Compiles, because a code is a literal of a union. */
function isFull(error: HoneClientError): boolean {
  // @ts-expect-error: a code that does not exist
  if (error.code === 'QUEUE_FUL') return true;
  return error.code === 'QUEUE_FULL' || error.code === 'UNAVAILABLE';
}

it.each(requests)('the request %j compiles and is accepted', (request) => {
  expect(() => checkGenerateRequest(request)).not.toThrow();
});

it.each(wrongRequests)('the request %j neither compiles nor is accepted', (request) => {
  expect(() => checkGenerateRequest(request)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
});

it.each(wrongItems)('the item %j neither compiles nor is accepted', (item) => {
  expect(() => checkFeedbackItem(item)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
});

it('a code is compared with literals of a union, and an option of connect has a known name', () => {
  expect(isFull(new HoneClientError('full', { code: 'QUEUE_FULL', status: 'RESOURCE_EXHAUSTED' }))).toBe(true);
  expect(isFull(new HoneClientError('gone', { code: 'NOT_FOUND', status: 'NOT_FOUND' }))).toBe(false);
  expect(() => checkConnectOptions(wrongOptions)).toThrow(/adress is not known/);
});
