/** How a request runs, from its admission to its end. */

import { describe, expect, it } from 'vitest';
import type { AgentEvent, StartedEvent } from '../../../../src/agent/generation/types.js';
import { HoneError } from '../../../../src/errors.js';
import { openLoop } from '../../../support/agent/loop.js';
import { finished, started, token, untilAborted } from '../../../support/agent/scripted-policy.js';

async function* twoCompletions() {
  yield started;
  yield token(0, 104);
  yield token(1, 119);
  yield token(0, 105);
  yield finished(0, 'stop');
  yield finished(1, 'length');
}

async function collect(events: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const all: AgentEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('a request', () => {
  it('has its generations on disk before its first event, and whole before its last event', async () => {
    await using loop = await openLoop(twoCompletions);
    const states: string[] = [];
    let ids: readonly string[] = [];
    for await (const event of loop.agent.generate({ prompt: 'ab', n: 2 })) {
      if (event.type === 'started') ids = event.generationIds;
      const stored = await loop.replay.readGenerations(ids);
      states.push(`${event.type} ${stored.map(({ state }) => state).join()}`);
    }
    expect(states).toEqual([
      'started running,running',
      'chunk running,running',
      'chunk running,running',
      'chunk running,running',
      'finished running,running',
      'finished running,running',
      'ended finished,finished',
    ]);
    const [first, second] = await loop.replay.readGenerations(ids);
    expect(first).toMatchObject({ text: 'hi', finishReason: 'stop', endOfSequence: true, version: 0 });
    expect(first?.groupKey).toBe(second?.groupKey);
    expect([...(first?.tokens ?? [])]).toEqual([104, 105]);
    expect([...(first?.sampledLogprobs ?? [])]).toEqual([-0.5, -0.5]);
    expect(second).toMatchObject({ text: 'w', finishReason: 'length', endOfSequence: false });
  });

  it('waits for a slow disk before its first and before its last event', async () => {
    await using loop = await openLoop(twoCompletions);
    const order: string[] = [];
    const { admit, complete } = loop.replay;
    const slowly = async (name: string, write: () => Promise<void>) => {
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      await write();
      order.push(name);
    };
    loop.replay.admit = (items) => slowly('admitted', () => admit.call(loop.replay, items));
    loop.replay.complete = (items) => slowly('completed', () => complete.call(loop.replay, items));
    for await (const { type } of loop.agent.generate({ prompt: 'ab', n: 2 })) order.push(type);
    expect(order.slice(0, 3)).toEqual(['admitted', 'started', 'chunk']);
    expect(order.slice(-2)).toEqual(['completed', 'ended']);
  });

  it('gives log-probabilities only if they were asked for', async () => {
    await using loop = await openLoop(twoCompletions);
    const plain = await collect(loop.agent.generate({ prompt: 'ab', n: 2 }));
    const asked = await collect(loop.agent.generate({ prompt: 'ab', n: 2, logprobs: true }));
    expect(plain.find(({ type }) => type === 'chunk')).not.toHaveProperty('logprobs');
    expect(asked.find(({ type }) => type === 'chunk')).toMatchObject({ logprobs: [-1], sampledLogprobs: [-0.5] });
  });

  it('is not stored and takes no scores with store: false', async () => {
    await using loop = await openLoop(twoCompletions);
    const [first, ...rest] = await collect(loop.agent.generate({ prompt: 'ab', n: 2, store: false }));
    const { generationIds } = first as StartedEvent;
    expect(rest.at(-1)).toMatchObject({ type: 'ended', promptTokens: 2, completionTokens: 3 });
    expect((await loop.replay.status()).generations).toBe(0);
    const [outcome] = await loop.agent.feedback([{ generationId: generationIds[0] ?? '', score: 1 }]);
    expect(outcome).toMatchObject({ status: 'refused', error: { code: 'GENERATION_NOT_FOUND' } });
    expect(loop.learner.told).toEqual([]);
  });

  it('is stored as cancelled, with its tokens so far, if its caller leaves', async () => {
    await using loop = await openLoop(untilAborted);
    let id = '';
    let chunks = 0;
    for await (const event of loop.agent.generate({ prompt: 'ab' })) {
      if (event.type === 'started') id = event.generationIds[0] ?? '';
      if (event.type === 'chunk' && ++chunks === 3) break;
    }
    const [stored] = await loop.replay.readGenerations([id]);
    expect(stored).toMatchObject({ state: 'cancelled', finishReason: 'cancelled' });
    expect(stored?.tokens.length).toBeGreaterThanOrEqual(3);
  });

  it('ends with the reason of its abort, and is stored as cancelled', async () => {
    await using loop = await openLoop(untilAborted);
    const controller = new AbortController();
    let id = '';
    const read = async () => {
      for await (const event of loop.agent.generate({ prompt: 'ab' }, controller.signal)) {
        if (event.type === 'started') id = event.generationIds[0] ?? '';
        else controller.abort(new HoneError('DEADLINE_EXCEEDED', 'too late'));
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect((await loop.replay.readGenerations([id]))[0]).toMatchObject({ state: 'cancelled' });
  });

  it('is stored as aborted and fails with WORKER_CRASHED if its worker dies', async () => {
    await using loop = await openLoop(async function* () {
      yield started;
      yield token(0, 97);
      throw new HoneError('WORKER_CRASHED', 'the worker died');
    });
    let id = '';
    const read = async () => {
      for await (const event of loop.agent.generate({ prompt: 'ab' })) {
        if (event.type === 'started') id = event.generationIds[0] ?? '';
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    const [stored] = await loop.replay.readGenerations([id]);
    expect(stored).toMatchObject({ state: 'aborted', finishReason: 'error', text: 'a' });
  });

  it('is served but not stored while the store has no room, and an event reports it', async () => {
    await using loop = await openLoop(twoCompletions);
    loop.replay.admit = () => Promise.reject(new HoneError('STORE_FULL', 'the disk is full'));
    const events = await collect(loop.agent.generate({ prompt: 'ab', n: 2 }));
    expect(events.at(-1)?.type).toBe('ended');
    expect(await loop.nextEvent('store_failed')).toMatchObject({ detail: 'STORE_FULL: the disk is full' });
  });

  it('is refused, with the field, if it names a version that does not exist', async () => {
    await using loop = await openLoop(twoCompletions);
    await expect(collect(loop.agent.generate({ prompt: 'ab', version: 9 }))).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
      violations: [{ field: 'version' }],
    });
  });
});

describe('a score', () => {
  it('may come while its generation runs, and the learner hears of it again at the end', async () => {
    await using loop = await openLoop(twoCompletions);
    for await (const event of loop.agent.generate({ prompt: 'ab', n: 2 })) {
      if (event.type !== 'started') continue;
      const results = await loop.agent.feedback([{ generationId: event.generationIds[0] ?? '', score: 0.5 }]);
      expect(results).toEqual([{ status: 'stored', sequence: 1 }]);
    }
    expect(loop.learner.told).toEqual(['changed', 'changed']);
  });

  it('does not disturb its neighbours or the learner if it is invalid', async () => {
    await using loop = await openLoop(twoCompletions);
    const [first] = await collect(loop.agent.generate({ prompt: 'ab', n: 2 }));
    const [good = ''] = (first as StartedEvent).generationIds;
    const results = await loop.agent.feedback([
      { generationId: good, score: Number.NaN },
      { generationId: good, score: 1 },
      { generationId: '01920000-0000-7000-8000-000000000000', score: 1 },
    ]);
    expect(results.map(({ status }) => status)).toEqual(['refused', 'stored', 'refused']);
    expect(results[0]).toMatchObject({ error: { code: 'INVALID_REQUEST', violations: [{ field: 'items[0].score' }] } });
    expect(results[2]).toMatchObject({ error: { code: 'GENERATION_NOT_FOUND' } });
    expect(loop.learner.told).toHaveLength(1);
  });
});

describe('closing the agent', () => {
  it('lets running requests finish and refuses new ones', async () => {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using loop = await openLoop(async function* () {
      yield started;
      await released;
      yield token(0, 97);
      yield finished(0, 'stop');
    });
    const running = loop.agent.generate({ prompt: 'ab' })[Symbol.asyncIterator]();
    await running.next();
    const closing = loop.agent.close();
    await expect(collect(loop.agent.generate({ prompt: 'ab' }))).rejects.toMatchObject({ code: 'DRAINING' });
    await expect(loop.agent.feedback([])).rejects.toMatchObject({ code: 'DRAINING' });
    release();
    const types: string[] = [];
    for (let next = await running.next(); next.done !== true; next = await running.next()) types.push(next.value.type);
    expect(types).toEqual(['chunk', 'finished', 'ended']);
    await closing;
  });

  it('ends after the grace the requests that still run, and stores them', async () => {
    await using loop = await openLoop(untilAborted, 20);
    const running = loop.agent.generate({ prompt: 'ab' });
    // It is admitted before its first event, and is running from then on.
    await running[Symbol.asyncIterator]().next();
    const ended = expect(collect(running)).rejects.toMatchObject({ code: 'DRAINING' });
    await loop.agent.close();
    await ended;
    expect(await loop.replay.status()).toMatchObject({ generations: 1, running: 0, finished: 0 });
  });
});
