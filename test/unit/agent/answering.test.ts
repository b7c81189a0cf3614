/** What happens to requests whose prompts are still being encoded. */

import { expect, it } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import type { TextEncoding } from '../../../src/package/index.js';
import { openLoop } from '../../support/agent/loop.js';
import { finished, started, token } from '../../support/agent/scripted-policy.js';

async function* oneToken() {
  yield started;
  yield token(0, 97);
  yield finished(0, 'stop');
}

async function all<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const list: Event[] = [];
  for await (const event of events) list.push(event);
  return list;
}

/** Encodes only when a test says so. It ignores aborts, as a text does that the thread has begun. */
class HeldEncoding implements TextEncoding {
  readonly begun: (() => void)[] = [];

  encode(): Promise<readonly number[]> {
    return new Promise((resolve) => this.begun.push(() => resolve([97])));
  }
}

it('an erasure ends the requests of the subject whose prompts are being encoded, and nothing of them is stored', async () => {
  const encoding = new HeldEncoding();
  await using loop = await openLoop(oneToken, 1000, {}, { agent: { encoding } });
  const ask = (subject: string) => all(loop.agent.generate({ prompt: 'ab', subject }));
  const ended = ask('ann').catch((error: HoneError) => error);
  const other = ask('bob');
  expect(encoding.begun).toHaveLength(2);
  await loop.agent.eraseSubject('ann', false);
  for (const finish of encoding.begun) finish();
  expect(await ended).toMatchObject({ code: 'CANCELLED', message: expect.stringContaining('erased') });
  expect((await other).at(-1)?.type).toBe('ended');
  expect((await loop.replay.status()).generations).toBe(1);
});

it('a request whose prompt is being encoded counts among the open requests until it ends', async () => {
  const encoding = new HeldEncoding();
  await using loop = await openLoop(oneToken, 1000, {}, { agent: { encoding, maxOpenRequests: 1 } });
  const ask = () => all(loop.agent.generate({ prompt: 'ab' }));
  const first = ask();
  await expect(ask()).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  encoding.begun[0]?.();
  expect((await first).at(-1)?.type).toBe('ended');
  const third = ask();
  encoding.begun[1]?.();
  expect((await third).at(-1)?.type).toBe('ended');
});

it('the wait for a prompt ends with its request', async () => {
  const encoding: TextEncoding = {
    encode: (_job, signal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true })),
  };
  await using loop = await openLoop(oneToken, 1000, {}, { agent: { encoding } });
  const ended = all(loop.agent.generate({ prompt: 'ab', subject: 'ann' }));
  const left = new AbortController();
  const gone = all(loop.agent.generate({ prompt: 'ab' }, left.signal));
  left.abort(new HoneError('DEADLINE_EXCEEDED', 'too late'));
  await expect(gone).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  const refused = expect(ended).rejects.toMatchObject({ code: 'CANCELLED' });
  await loop.agent.eraseSubject('ann', false);
  await refused;
});
