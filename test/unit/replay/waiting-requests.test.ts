/** In which order requests run while another program holds the lock. */

import { expect, test } from 'vitest';
import { isWrite } from '../../../src/replay/group-commit.js';
import type { BatchedRequest, WorkerReply } from '../../../src/replay/messages.js';
import { WaitingRequests } from '../../../src/replay/waiting-requests.js';
import { scoreWrite } from '../../support/replay/records.js';

/** A write that fills a commit alone. */
function largeWrite(id: number): BatchedRequest {
  return { id, type: 'write', items: Array.from({ length: 1024 }, () => scoreWrite('a', id)) };
}

test('a write does not overtake one of an earlier batch when the lock goes free between the two', async () => {
  let locked = true;
  const done: number[] = [];
  let onEmpty = (): void => undefined;
  const empty = new Promise<void>((resolve) => {
    onEmpty = resolve;
  });
  const requests = new WaitingRequests({
    waitMs: 600_000,
    run(batch) {
      const blocked = locked ? batch.filter(isWrite) : [];
      const ran = batch.filter((request) => !blocked.includes(request));
      done.push(...ran.map(({ id }) => id));
      // The other program gives its lock back right after the first attempt.
      locked = false;
      return { blocked, replies: ran.map(({ id }): WorkerReply => ({ type: 'done', id, result: null })) };
    },
    refuse: () => expect.unreachable('no request waits so long'),
    post: () => undefined,
    onEmpty,
  });
  const read: BatchedRequest = { id: 3, type: 'readScores', items: ['a'] };
  requests.run([largeWrite(1), largeWrite(2), read]);
  expect(done).toEqual([3]);
  await empty;
  expect(done).toEqual([3, 1, 2]);
});
