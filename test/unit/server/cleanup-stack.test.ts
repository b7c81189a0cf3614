import { expect, it } from 'vitest';
import { CleanupStack } from '../../../server/cleanup-stack.js';

it('what was opened is ended the last first, and waited for', async () => {
  const ended: string[] = [];
  const cleanup = new CleanupStack(new AbortController().signal);
  cleanup.add(() => ended.push('first'));
  cleanup.add(async () => {
    await new Promise(setImmediate);
    ended.push('second');
  });
  const once = cleanup.run();
  // Whoever asks again waits for the same.
  await cleanup.run();
  expect(ended).toEqual(['second', 'first']);
  await once;
});

it('an end that fails keeps no other from being ended, and is told in the end', async () => {
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

it('what is added while something is being ended is ended, too', async () => {
  const ended: string[] = [];
  const cleanup = new CleanupStack(new AbortController().signal);
  cleanup.add(() => cleanup.add(() => ended.push('late')));
  await cleanup.run();
  expect(ended).toEqual(['late']);
});

it('a part that opens while the start is called off is ended, and nothing is opened after it', async () => {
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
