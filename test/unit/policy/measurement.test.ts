import { describe, expect, it } from 'vitest';
import {
  choose,
  climb,
  settingsToTry,
  type ThreadMeasurement,
  type ThreadSetting,
} from '../../../src/policy/start-up/measurement.js';

const open = { threads: undefined, spin: undefined };
const names = (settings: readonly ThreadSetting[]) =>
  settings.map(({ threads, spin }) => `${threads}${spin ? '*' : ''}`);

/** Returns a measurement with the same time for one row and for eight. */
function took(threads: number, ms: number, spin = false, neighbourShare = 1): ThreadMeasurement {
  return { threads, spin, oneRowMs: ms, eightRowsMs: ms, neighbourShare };
}

describe('the settings to try', () => {
  it.each([
    [1, ['1']],
    [2, ['1', '2', '2*']],
    [5, ['1', '2', '2*', '3', '3*', '4', '4*', '5', '5*']],
  ])('on %i cores are all numbers of threads, from two threads on with and without spinning', (cores, tried) => {
    expect(names(settingsToTry(cores, open).flat())).toEqual(tried);
  });

  it('on many cores leave out similar numbers of threads, but include all cores', () => {
    const counts = settingsToTry(20, open).map((settings) => settings[0]?.threads);
    expect(counts).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 20]);
  });

  it('are only those that the flags leave open', () => {
    expect(names(settingsToTry(4, { threads: 3, spin: undefined }).flat())).toEqual(['3', '3*']);
    expect(names(settingsToTry(2, { threads: undefined, spin: true }).flat())).toEqual(['1', '2*']);
    expect(names(settingsToTry(4, { threads: 2, spin: false }).flat())).toEqual(['2']);
    expect(names(settingsToTry(2, { threads: 8, spin: true }).flat())).toEqual(['8*']);
  });
});

describe('measuring one number of threads after another', () => {
  const eight = settingsToTry(8, { threads: undefined, spin: false });
  const at = (times: Record<number, number>) => async (settings: readonly ThreadSetting[]) =>
    settings.map(({ threads, spin }) => took(threads, times[threads] ?? Number.NaN, spin));

  it('ends after two numbers of threads in a row that are not faster', async () => {
    const measured = await climb(eight, at({ 1: 10, 2: 6, 3: 6.5, 4: 7, 6: 1, 8: 1 }), () => false);
    expect(measured.map(({ threads }) => threads)).toEqual([1, 2, 3, 4]);
  });

  it('goes on after one number of threads that is not faster', async () => {
    const measured = await climb(eight, at({ 1: 10, 2: 6, 3: 6.5, 4: 5, 6: 4, 8: 3 }), () => false);
    expect(measured.map(({ threads }) => threads)).toEqual([1, 2, 3, 4, 6, 8]);
  });

  it('ends when the time is over, but not before two numbers of threads are measured', async () => {
    expect(await climb(eight, at({ 1: 10, 2: 6 }), () => true)).toEqual([took(1, 10), took(2, 6)]);
  });
});

describe('the choice', () => {
  it('is the fastest setting', () => {
    expect(choose([took(1, 10), took(2, 6), took(2, 5, true)], 4)).toEqual({ threads: 2, spin: true });
  });

  it('is a setting with fewer threads if more threads are hardly faster', () => {
    expect(choose([took(1, 10), took(2, 9.8), took(2, 9.6, true)], 4)).toEqual({ threads: 1, spin: false });
    expect(choose([took(1, 10), took(2, 6), took(2, 5.9, true)], 4)).toEqual({ threads: 2, spin: false });
  });

  it('spins on every core only if that is much faster', () => {
    const measured = [took(1, 10), took(2, 9), took(2, 7.5, true)];
    expect(choose(measured, 4)).toEqual({ threads: 2, spin: true });
    expect(choose(measured, 2)).toEqual({ threads: 2, spin: false });
    expect(choose([took(1, 10), took(2, 6, true)], 2)).toEqual({ threads: 2, spin: true });
  });

  it('gives steps of one row and of eight rows the same weight', () => {
    const slowAlone = { threads: 1, spin: false, oneRowMs: 2, eightRowsMs: 4, neighbourShare: 1 };
    const slowInCrowd = { threads: 2, spin: false, oneRowMs: 1, eightRowsMs: 4, neighbourShare: 1 };
    expect(choose([slowAlone, slowInCrowd], 4)?.threads).toBe(2);
    expect(choose([slowAlone, { ...slowInCrowd, eightRowsMs: 9 }], 4)?.threads).toBe(1);
  });

  it('leaves the neighbour at least half of the work that it does beside one thread', () => {
    expect(choose([took(1, 10), took(2, 6, false, 0.6), took(2, 3, true, 0.1)], 4)).toEqual({
      threads: 2,
      spin: false,
    });
    expect(choose([took(1, 10), took(2, 3, true, 0.4)], 4)).toEqual({ threads: 1, spin: false });
  });

  it('is undefined if nothing was measured', () => {
    expect(choose([], 4)).toBeUndefined();
  });
});
