import { describe, expect, test } from 'vitest';
import { RequestQueue } from '../../../src/policy/request-queue.js';

describe('the request queue', () => {
  test('is bounded by the number of requests', () => {
    const queue = new RequestQueue({ maxQueue: 2, maxQueueTokens: 1000 }, () => 0);
    queue.add(1, 10);
    queue.add(2, 10);
    expect(() => queue.add(3, 10)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }));
    queue.start(1);
    queue.add(3, 10);
    expect([queue.requests, queue.tokens]).toEqual([2, 20]);
  });

  test('is bounded by prompt tokens, but accepts any request when it is empty', () => {
    const queue = new RequestQueue({ maxQueue: 100, maxQueueTokens: 1000 }, () => 0);
    queue.add(1, 5000);
    expect(() => queue.add(2, 1)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }));
    queue.remove(1);
    queue.add(2, 600);
    queue.add(3, 400);
    expect(() => queue.add(4, 1)).toThrow('1000 prompt tokens');
    queue.remove(4);
    expect([queue.requests, queue.tokens]).toEqual([2, 1000]);
  });

  test('derives the time after which to try again from how fast requests have started recently', () => {
    let now = 0;
    const queue = new RequestQueue({ maxQueue: 10, maxQueueTokens: 1e6 }, () => now);
    const retryAfterMs = (): number => {
      try {
        queue.add(-1, 1);
      } catch (error) {
        return (error as { retryAfterMs: number }).retryAfterMs;
      }
      throw new Error('there was room');
    };
    const startEvery = (ms: number) => {
      for (let request = 0; request < 200; request++) {
        queue.add(request, 1);
        now += ms;
        queue.start(request);
      }
      for (let request = 0; request < 10; request++) queue.add(request, 1);
      const advice = retryAfterMs();
      for (let request = 0; request < 10; request++) queue.remove(request);
      return advice;
    };
    expect(startEvery(400)).toBe(2000);
    expect(startEvery(1)).toBe(100);
    expect(startEvery(60_000)).toBe(30_000);
  });
});
