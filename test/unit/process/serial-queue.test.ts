/** Tasks run one after another, and a closed queue refuses further ones. */

import { expect, it } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import { SerialQueue } from '../../../src/process/serial-queue.js';

it('starts a task only when the one before it has ended', async () => {
  const queue = new SerialQueue('closed');
  const order: string[] = [];
  let endFirst = (): void => undefined;
  const first = queue.run(async () => {
    order.push('first starts');
    await new Promise<void>((resolve) => {
      endFirst = resolve;
    });
    order.push('first ends');
    return 1;
  });
  const second = queue.run(async () => {
    order.push('second starts');
    return 2;
  });
  await new Promise(setImmediate);
  expect(order).toEqual(['first starts']);
  endFirst();
  expect(await Promise.all([first, second])).toEqual([1, 2]);
  expect(order).toEqual(['first starts', 'first ends', 'second starts']);
});

it('gives the error of a task to its caller and goes on with the next task', async () => {
  const queue = new SerialQueue('closed');
  const failing = queue.run(() => Promise.reject(new HoneError('STORE_FULL', 'the disk is full')));
  const throwing = queue.run(() => {
    throw new HoneError('INTERNAL', 'thrown at once');
  });
  const working = queue.run(async () => 'done');
  await expect(failing).rejects.toMatchObject({ code: 'STORE_FULL' });
  await expect(throwing).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(await working).toBe('done');
});

it('closes after the tasks that it has taken, and refuses those that come later', async () => {
  const queue = new SerialQueue('the log is closed');
  const order: string[] = [];
  void queue.run(async () => {
    await new Promise(setImmediate);
    order.push('task');
  });
  const closing = queue.close().then(() => order.push('closed'));
  expect(queue.isClosed).toBe(true);
  await expect(queue.run(async () => order.push('late'))).rejects.toMatchObject({
    code: 'DRAINING',
    message: 'the log is closed',
  });
  await Promise.all([closing, queue.close()]);
  expect(order).toEqual(['task', 'closed']);
});
