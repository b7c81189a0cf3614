/** Requests that run or wait, and the room for answers that are collected as a whole. */

import { expect, it } from 'vitest';
import { maxCollectedBytes, OpenRequests } from '../../../../src/agent/generation/open-requests.js';

it('refuses an answer for which the others leave no room, until one of them has left', () => {
  const requests = new OpenRequests(10);
  const first = requests.open('');
  const second = requests.open('');
  first.collect(maxCollectedBytes - 1);
  second.collect(1);
  expect(() => second.collect(1)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }));
  first[Symbol.dispose]();
  second.collect(maxCollectedBytes - 1);
});

it('takes a single answer of any size', () => {
  const requests = new OpenRequests(10);
  requests.open('').collect(maxCollectedBytes + 1);
});
