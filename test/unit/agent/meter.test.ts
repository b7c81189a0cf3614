/** The figures that the loop reports to its meter, event by event. */

import { describe, expect, it } from 'vitest';
import type { CompletionEnd, Meter } from '../../../src/agent/meter.js';
import { HoneError } from '../../../src/errors.js';
import { openLoop } from '../../support/agent/loop.js';
import { finished, type Script, started, token, untilAborted } from '../../support/agent/scripted-policy.js';

const twoCompletions: Script = async function* () {
  yield started;
  yield token(0, 104);
  yield token(1, 119);
  yield token(0, 105);
  yield finished(0, 'stop');
  yield finished(1, 'length');
};

/** Writes down the figures that it gets, without the times. */
class Notes implements Meter {
  readonly said: string[] = [];
  readonly ends: CompletionEnd[] = [];
  durationMs = Number.NaN;

  firstToken(): void {
    this.said.push('first token');
  }
  tokens(count: number): void {
    this.said.push(`${count} tokens`);
  }
  completionEnded(end: CompletionEnd): void {
    this.ends.push(end);
    this.said.push(`${end.reason} after ${end.tokens}`);
  }
  requestEnded({ code, durationMs }: { code: string; durationMs: number }): void {
    this.durationMs = durationMs;
    this.said.push(code);
  }
  feedback(items: Parameters<NonNullable<Meter['feedback']>>[0], early: number): void {
    const words = items.map(({ result }) => (result.status === 'refused' ? result.error.code : result.status));
    this.said.push(`${words.join()}, ${early} early`);
  }
  live({ number, origin }: { number: number; origin: string }): void {
    this.said.push(`version ${number} ${origin} is live`);
  }
}

async function metered(script: Script): Promise<[Notes, Awaited<ReturnType<typeof openLoop>>]> {
  const notes = new Notes();
  return [notes, await openLoop(script, 1000, notes)];
}

async function runAll(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

describe('the meter', () => {
  it('gets every token, the first token of a request, and the end of each completion and of the request', async () => {
    const [notes, loop] = await metered(twoCompletions);
    await using _ = loop;
    await runAll(loop.agent.generate({ prompt: 'ab', n: 2 }));
    expect(notes.said).toEqual([
      'first token',
      '1 tokens',
      '1 tokens',
      '1 tokens',
      'stop after 2',
      'length after 1',
      'OK',
    ]);
    // The first token of each completion counts for the time to the first token, not for the time between tokens.
    expect(notes.ends[0]?.msPerToken).toBeGreaterThan(0);
    expect(notes.ends[1]?.msPerToken).toBeNull();
    expect(notes.durationMs).toBeGreaterThanOrEqual(notes.ends[0]?.msPerToken ?? Number.NaN);
  });

  it('gets the end of a request once, with its tokens, if its caller leaves', async () => {
    const [notes, loop] = await metered(untilAborted);
    await using _ = loop;
    for await (const { type } of loop.agent.generate({ prompt: 'ab' })) if (type === 'chunk') break;
    const tokens = notes.said.filter((word) => word === '1 tokens').length;
    expect(notes.said.slice(-2)).toEqual([`cancelled after ${tokens}`, 'CANCELLED']);
  });

  it('gets the code of a refusal and of a crash', async () => {
    const [notes, loop] = await metered(async function* () {
      yield started;
      yield token(0, 104);
      throw new HoneError('WORKER_CRASHED', 'gone');
    });
    await using _ = loop;
    await expect(runAll(loop.agent.generate({}))).rejects.toThrow();
    await expect(runAll(loop.agent.generate({ prompt: 'ab' }))).rejects.toThrow();
    expect(notes.said).toEqual(['INVALID_REQUEST', 'first token', '1 tokens', 'error after 1', 'WORKER_CRASHED']);
  });

  it('gets the results of scores, and the number of early ones', async () => {
    const [notes, loop] = await metered(untilAborted);
    await using _ = loop;
    let id = '';
    const score = (generationId: string) => loop.agent.feedback([{ generationId, score: 1 }]);
    for await (const event of loop.agent.generate({ prompt: 'ab' })) {
      if (event.type === 'started') id = event.generationIds[0] ?? '';
      else break;
      await score(id);
    }
    await loop.agent.feedback([
      { generationId: id, retraction: true },
      { generationId: 'x', score: 1 },
    ]);
    await score('00000000-0000-7000-8000-000000000000');
    expect(notes.said.filter((word) => word.endsWith('early'))).toEqual([
      'stored, 1 early',
      'retracted,INVALID_REQUEST, 0 early',
      'GENERATION_NOT_FOUND, 0 early',
    ]);
  });

  it('gets the scores that were refused because the store is full', async () => {
    const [notes, loop] = await metered(untilAborted);
    await using _ = loop;
    loop.replay.write = () => Promise.reject(new HoneError('STORE_FULL', 'no room'));
    const item = { generationId: '00000000-0000-7000-8000-000000000000', score: 1 };
    await expect(loop.agent.feedback([item, item])).rejects.toThrow();
    expect(notes.said).toEqual(['STORE_FULL,STORE_FULL, 0 early']);
  });

  it('gets each version that goes live, and none that is rejected', async () => {
    const [notes, loop] = await metered(untilAborted);
    await using _ = loop;
    await loop.offerCandidate(0.5);
    await loop.nextEvent('version_promoted');
    await loop.offerCandidate(0.25, { loss: Number.NaN });
    await loop.nextEvent('version_rejected');
    await loop.agent.rollback(0);
    expect(notes.said).toEqual(['version 1 learned is live', 'version 3 rollback is live']);
  });
});
