import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WakeUp } from '../../../src/process/wake-up.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Starts a wait and returns a function that tells whether it has ended. */
function startWait(wakeUp: WakeUp, ms: number | null): () => boolean {
  let ended = false;
  void wakeUp.wait(ms).then(() => {
    ended = true;
  });
  return () => ended;
}

describe('a wait', () => {
  test('ends with a call before its time is over, and leaves no timer', async () => {
    const wakeUp = new WakeUp();
    const ended = startWait(wakeUp, 1000);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended()).toBe(false);
    wakeUp.call();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ends without a call when its time is over', async () => {
    const ended = startWait(new WakeUp(), 1000);
    await vi.advanceTimersByTimeAsync(1000);
    expect(ended()).toBe(true);
  });

  test('for a call alone needs no timer', async () => {
    const wakeUp = new WakeUp();
    const ended = startWait(wakeUp, null);
    expect(vi.getTimerCount()).toBe(0);
    wakeUp.call();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended()).toBe(true);
  });

  test('is not shortened by a call before it', async () => {
    const wakeUp = new WakeUp();
    wakeUp.call();
    const ended = startWait(wakeUp, 1000);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended()).toBe(false);
  });

  test('of longer than a timer can take does not end at once', async () => {
    const ended = startWait(new WakeUp(), 1e12);
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(ended()).toBe(false);
  });
});
