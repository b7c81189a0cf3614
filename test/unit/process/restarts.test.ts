import { expect, test } from 'vitest';
import { Restarts } from '../../../src/process/restarts.js';

test('the delay before a restart doubles with each failure in a row, up to the longest', () => {
  const restarts = new Restarts({ firstMs: 500, longestMs: 3000, stableMs: 60_000 });
  expect([10, 0, 59_999, 1].map((livedMs) => restarts.delayAfter(livedMs))).toEqual([500, 1000, 2000, 3000]);
});

test('the delays begin again after a process that lived long', () => {
  const restarts = new Restarts({ firstMs: 500, longestMs: 3000, stableMs: 60_000 });
  expect([10, 10, 60_000, 10].map((livedMs) => restarts.delayAfter(livedMs))).toEqual([500, 1000, 500, 1000]);
});

test('the delays begin again after a process has done its work, however short its life', () => {
  const restarts = new Restarts({ firstMs: 10, longestMs: 1000 });
  expect([restarts.delayAfter(), restarts.delayAfter(1e9)]).toEqual([10, 20]);
  restarts.succeeded();
  expect(restarts.delayAfter()).toBe(10);
});

test('the delay stays at the longest after thousands of failures', () => {
  const restarts = new Restarts({ firstMs: 10, longestMs: 1000 });
  for (let failure = 0; failure < 5000; failure++) restarts.delayAfter();
  expect(restarts.delayAfter()).toBe(1000);
});
