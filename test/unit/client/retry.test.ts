/** How long the client waits before another try, and when it does not. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoneClientError } from '../../../client/index.js';
import { Retries } from '../../../client/retry.js';

const error = (status: 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED' | 'INTERNAL', retryAfterMs?: number): HoneClientError =>
  new HoneClientError('x', { code: 'X', status, retryAfterMs });

describe('the wait before another try', () => {
  it('doubles its bound each time up to the longest, and ends', () => {
    const retries = new Retries({ maxAttempts: 6, baseDelayMs: 100, maxDelayMs: 500 }, () => 1);
    const waits = Array.from({ length: 6 }, () => retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent'));
    expect(waits).toEqual([100, 200, 400, 500, 500, undefined]);
  });

  it('is at least what the server asked for, and never more than that and the bound', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 5000 }), (random, asked) => {
        const wait = new Retries({}, () => random).nextDelayMs(error('RESOURCE_EXHAUSTED', asked), 'idempotent') ?? -1;
        return wait >= asked && wait <= asked + 100;
      }),
    );
  });

  it('is none at all where the server asks for more than the longest', () => {
    expect(new Retries().nextDelayMs(error('UNAVAILABLE', 60_000), 'idempotent')).toBeUndefined();
  });

  it('is none for errors that do not pass by themselves', () => {
    expect(new Retries().nextDelayMs(error('INTERNAL'), 'idempotent')).toBeUndefined();
    expect(new Retries().nextDelayMs(error('RESOURCE_EXHAUSTED'), 'idempotent')).toBeUndefined();
    expect(new Retries().nextDelayMs(error('UNAVAILABLE'), 'unstarted')).toBeUndefined();
  });
});
