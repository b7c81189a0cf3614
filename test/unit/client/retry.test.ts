/** How long the client waits before another attempt, and when it makes none. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoneClientError } from '../../../client/index.js';
import { Retries } from '../../../client/retry.js';

const error = (status: 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED' | 'INTERNAL', retryAfterMs?: number): HoneClientError =>
  new HoneClientError('x', { code: 'INTERNAL', status, retryAfterMs });

describe('the wait before another attempt', () => {
  it('doubles its bound each time up to the longest, for a limited number of attempts', () => {
    const retries = new Retries({ maxAttempts: 6, baseDelayMs: 100, maxDelayMs: 500 }, () => 1);
    const waits = Array.from({ length: 6 }, () => retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent'));
    expect(waits).toEqual([100, 200, 400, 500, 500, undefined]);
  });

  it('is made for a limited time after the first failure, and that time begins again with an answer', () => {
    let now = 1000;
    const retries = new Retries(
      { maxElapsedMs: 250 },
      () => 1,
      () => now,
    );
    expect(retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent')).toBe(100);
    now += 100;
    expect(retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent')).toBeUndefined();
    retries.reset();
    expect(retries.nextDelayMs(error('UNAVAILABLE'), 'idempotent')).toBe(100);
    expect(retries.giveUpAtMs).toBe(now + 250);
  });

  it('is not limited in number if the server is gone, and ends after four attempts if it is full', () => {
    const attempts = (status: 'UNAVAILABLE' | 'RESOURCE_EXHAUSTED') => {
      const retries = new Retries({ baseDelayMs: 1 }, () => 0);
      let made = 1;
      while (made < 100 && retries.nextDelayMs(error(status, 0), 'idempotent') !== undefined) made += 1;
      return made;
    };
    expect(attempts('UNAVAILABLE')).toBe(100);
    expect(attempts('RESOURCE_EXHAUSTED')).toBe(4);
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
