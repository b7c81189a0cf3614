import { expect, it } from 'vitest';
import { Endings } from '../../../server/endings.js';

it('what was opened is ended the last first, and waited for', async () => {
  const ended: string[] = [];
  const endings = new Endings(new AbortController().signal);
  endings.add(() => ended.push('first'));
  endings.add(async () => {
    await new Promise(setImmediate);
    ended.push('second');
  });
  const once = endings.run();
  // Whoever asks again waits for the same.
  await endings.run();
  expect(ended).toEqual(['second', 'first']);
  await once;
});

it('an end that fails keeps no other from being ended, and is told in the end', async () => {
  const ended: string[] = [];
  const endings = new Endings(new AbortController().signal);
  endings.add(() => ended.push('first'));
  endings.add(() => {
    throw new Error('second');
  });
  endings.add(() => Promise.reject(new Error('third')));
  await expect(endings.run()).rejects.toThrow('third');
  expect(ended).toEqual(['first']);
  await expect(endings.run()).rejects.toThrow('third');
});

it('what is added while something is being ended is ended, too', async () => {
  const ended: string[] = [];
  const endings = new Endings(new AbortController().signal);
  endings.add(() => endings.add(() => ended.push('late')));
  await endings.run();
  expect(ended).toEqual(['late']);
});

it('a part that opens while the start is called off is ended, and nothing is opened after it', async () => {
  const stopping = new AbortController();
  const ended: string[] = [];
  const endings = new Endings(stopping.signal);
  expect(await endings.open(Promise.resolve('early'), (part) => ended.push(part))).toBe('early');
  stopping.abort();
  await expect(endings.open(Promise.resolve('late'), (part) => ended.push(part))).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  await endings.run();
  expect(ended).toEqual(['late', 'early']);
});
