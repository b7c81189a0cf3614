/** How long the client waits before another attempt, and when it makes none. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoneClientError } from '../../../client/index.js';
import { Retries } from '../../../client/retry.js';

const error = (status: 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED' | 'INTERNAL', retryAfterMs?: number): HoneClientError =>
  new HoneClientError('x', { code: 'X', status, retryAfterMs });

describe('the wait before another attempt', () => {
  it('doubles its bound each time up to the longest, for a limited number of attempts', () => {
    const retries = new Retries({ maxAttempts: 6, baseDelayMs: 100, maxDelayMs: 500 }, () => 1);
    const waits = Array.from({ length: 6 }, () => retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent'));
    expect(waits).toEqual([100, 200, 400, 500, 500, undefined]);
  });

  it('is between the time that the server asked for and that time plus the bound', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 5000 }), (random, asked) => {
        const wait = new Retries({}, () => random).nextDelayMs(error('RESOURCE_EXHAUSTED', asked), 'idempotent') ?? -1;
        return wait >= asked && wait <= asked + 100;
      }),
    );
  });

  it('does not happen if the server asks for more than the longest wait', () => {
    expect(new Retries().nextDelayMs(error('UNAVAILABLE', 60_000), 'idempotent')).toBeUndefined();
  });

  it('does not happen for errors that do not end by themselves', () => {
    expect(new Retries().nextDelayMs(error('INTERNAL'), 'idempotent')).toBeUndefined();
    expect(new Retries().nextDelayMs(error('RESOURCE_EXHAUSTED'), 'idempotent')).toBeUndefined();
    expect(new Retries().nextDelayMs(error('UNAVAILABLE'), 'unstarted')).toBeUndefined();
  });
});
