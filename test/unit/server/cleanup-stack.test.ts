import { expect, it } from 'vitest';
import { CleanupStack } from '../../../server/cleanup-stack.js';

it('runs the steps in reverse order and waits for each', async () => {
  const ended: string[] = [];
  const cleanup = new CleanupStack(new AbortController().signal);
  cleanup.add(() => ended.push('first'));
  cleanup.add(async () => {
    await new Promise(setImmediate);
    ended.push('second');
  });
  const once = cleanup.run();
  // The second call waits for the first.
  await cleanup.run();
  expect(ended).toEqual(['second', 'first']);
  await once;
});

it('runs all steps even if one fails, then rejects with the first error', async () => {
  const ended: string[] = [];
  const cleanup = new CleanupStack(new AbortController().signal);
  cleanup.add(() => ended.push('first'));
  cleanup.add(() => {
    throw new Error('second');
  });
  cleanup.add(() => Promise.reject(new Error('third')));
  await expect(cleanup.run()).rejects.toThrow('third');
  expect(ended).toEqual(['first']);
  await expect(cleanup.run()).rejects.toThrow('third');
});

it('runs a step that is added while the steps run', async () => {
  const ended: string[] = [];
  const cleanup = new CleanupStack(new AbortController().signal);
  cleanup.add(() => cleanup.add(() => ended.push('late')));
  await cleanup.run();
  expect(ended).toEqual(['late']);
});

it('closes a part that opens after the start was stopped, and refuses to continue the start', async () => {
  const stopping = new AbortController();
  const ended: string[] = [];
  const cleanup = new CleanupStack(stopping.signal);
  expect(await cleanup.open(Promise.resolve('early'), (part) => ended.push(part))).toBe('early');
  stopping.abort();
  await expect(cleanup.open(Promise.resolve('late'), (part) => ended.push(part))).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  await cleanup.run();
  expect(ended).toEqual(['late', 'early']);
});
