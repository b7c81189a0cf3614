import { expect, test } from 'vitest';
import { memoryBound, memoryOfMachine } from '../../../../src/learner/engine/default-memory.js';

const gigabyte = 1024 ** 3;

test('the memory is that of the machine, or less if a container limits it', () => {
  expect(memoryOfMachine(8 * gigabyte, 2 * gigabyte)).toBe(2 * gigabyte);
  // Without a limit Node gives 0, or the largest number that the system has.
  expect(memoryOfMachine(8 * gigabyte, 0)).toBe(8 * gigabyte);
  expect(memoryOfMachine(8 * gigabyte, 2 ** 64)).toBe(8 * gigabyte);
});

test('the learner keeps to a quarter of the memory, unless the user sets another bound', () => {
  expect(memoryBound(null, gigabyte / 2, 8 * gigabyte)).toBe(2 * gigabyte);
  expect(memoryBound(gigabyte, gigabyte / 2, 8 * gigabyte)).toBe(gigabyte);
});

test('a model that takes more than a quarter gets room for a batch, up to three quarters', () => {
  expect(memoryBound(null, gigabyte, 4 * gigabyte)).toBe(gigabyte + 256 * 1024 ** 2);
  expect(memoryBound(null, 2.9 * gigabyte, 4 * gigabyte)).toBe(3 * gigabyte);
  expect(() => memoryBound(null, 3.1 * gigabyte, 4 * gigabyte)).toThrow(/three quarters of the memory.*smaller model/);
  expect(() => memoryBound(gigabyte, 2 * gigabyte, 8 * gigabyte)).toThrow(/raise --learner-memory/);
});
