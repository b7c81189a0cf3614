import { expect, it } from 'vitest';
import {
  allowedCores,
  busyTimes,
  type ProcessorTimes,
  readProcessorTimes,
  shareOfOthers,
} from '../../../src/policy/start-up/machine-load.js';
import { until } from '../../support/until.js';

const start: ProcessorTimes = { atMs: 1000, everybodyMs: 5000, ownMs: 2000, cores: 4 };

it('counts what others used of all cores, without what this process and its children used', () => {
  expect(shareOfOthers(start, { ...start, atMs: 2000, everybodyMs: 7000, ownMs: 3000 })).toBeCloseTo(0.25);
  expect(shareOfOthers(start, { ...start, atMs: 2000, everybodyMs: 6000, ownMs: 3000 })).toBe(0);
});

it('never leaves the range of a share, although the clocks of the system are coarse', () => {
  expect(shareOfOthers(start, { ...start, atMs: 1010, everybodyMs: 5000, ownMs: 2010 })).toBe(0);
  expect(shareOfOthers(start, { ...start, atMs: 1010, everybodyMs: 5100, ownMs: 2000 })).toBe(1);
});

it('does not know a share without both readings, or without time between them', () => {
  expect(shareOfOthers(null, start)).toBeNull();
  expect(shareOfOthers(start, null)).toBeNull();
  expect(shareOfOthers(start, start)).toBeNull();
});

it('counts time that the host gave to other machines, but no idle time and none of cores that are forbidden', () => {
  const text = 'cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 1000 500 4 5 6 0 0\ncpu1 100 0 0 0 0 0 0 0 0 0\nintr 1 2\n';
  expect(busyTimes(text, null)).toEqual({ everybodyMs: 1210, cores: 2 });
  expect(busyTimes(text, new Set([0]))).toEqual({ everybodyMs: 210, cores: 1 });
});

it('reads lists of cores', () => {
  expect(allowedCores('Name:\tnode\nCpus_allowed_list:\t0-2,5\n')).toEqual(new Set([0, 1, 2, 5]));
  expect(allowedCores('Name:\tnode\n')).toBeNull();
});

it.runIf(process.platform === 'linux')(
  'reads the times of this machine, in which its own work is its own',
  async () => {
    const before = readProcessorTimes() as ProcessorTimes;
    let sum = 0;
    await until(() => {
      for (let i = 0; i < 1e7; i++) sum += Math.sqrt(i);
      return (readProcessorTimes() as ProcessorTimes).ownMs - before.ownMs >= 200;
    }, 'this process has worked');
    const after = readProcessorTimes() as ProcessorTimes;
    expect(sum).toBeGreaterThan(0);
    expect(after.cores).toBeGreaterThan(0);
    // The system updates its two counters at different moments.
    expect(after.everybodyMs - before.everybodyMs).toBeGreaterThan((after.ownMs - before.ownMs) / 2);
    expect(shareOfOthers(before, after)).not.toBeNull();
  },
);
