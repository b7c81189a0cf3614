/** Exploration draws further completions of answered prompts while no request runs, and shows them to no caller. */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CheckedRequest } from '../../../../src/agent/generation/check-request.js';
import { checkExploration, Exploration, maxWaitingPrompts } from '../../../../src/agent/generation/exploration.js';
import type { GenerationRequest } from '../../../../src/agent/generation/generation-context.js';
import type { AgentEvent, StartedEvent } from '../../../../src/agent/generation/types.js';
import type { BackgroundDraw, ExplorationOutcome } from '../../../../src/agent/meter.js';
import { HoneError } from '../../../../src/errors.js';
import { openReplayReader } from '../../../../src/replay/index.js';
import { type Loop, openLoop } from '../../../support/agent/loop.js';
import { finished, type Script, started, token } from '../../../support/agent/scripted-policy.js';

const answered = (over: Partial<CheckedRequest> & { temperature?: number } = {}): CheckedRequest => {
  const { temperature = 1, ...rest } = over;
  return {
    promptTokens: [1],
    answerBytes: 0,
    groupKey: 'g',
    sampling: {
      temperature,
      topP: 1,
      topK: 0,
      minP: 0,
      maxTokens: 4,
      stop: [],
      ignoreEos: false,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: {},
      topLogprobs: 5,
    },
    n: 1,
    seed: 7,
    logprobs: false,
    topLogprobs: 5,
    store: true,
    subject: '',
    version: 2,
    promptJson: '{"prompt":"a"}',
    metadataJson: '{}',
    ...rest,
  };
};

/** A draw that the test ends. */
interface Drawing {
  readonly request: GenerationRequest;
  readonly signal: AbortSignal;
  readonly wanted: () => boolean;
  /** Stores all of its completions except the cancelled ones. */
  end(cancelled?: number): Promise<void>;
  fail(): Promise<void>;
}

const settled = () => new Promise<void>((resolve) => void setImmediate(resolve));

function explore(settings = { share: 1, completions: 3 }, random = () => 0) {
  const drawings: Drawing[] = [];
  const outcomes: ExplorationOutcome[] = [];
  let seed = 100;
  const exploration = new Exploration({
    settings,
    random,
    randomSeed: () => seed++,
    meter: { explored: (outcome) => void outcomes.push(outcome) },
    draw: (request, signal, wanted) =>
      new Promise<BackgroundDraw>((resolve, reject) => {
        drawings.push({
          request,
          signal,
          wanted,
          end(cancelled = 0) {
            resolve({ kept: request.n - cancelled, cancelled, tokens: 5 });
            return settled();
          },
          fail() {
            reject(new HoneError('WORKER_CRASHED', 'gone'));
            return settled();
          },
        });
      }),
  });
  /** A request from its arrival to its end. */
  const serve = (request: CheckedRequest = answered()) => {
    exploration.requestStarted();
    exploration.answered(request);
    exploration.requestEnded();
  };
  return { exploration, drawings, outcomes, serve };
}

describe('exploration', () => {
  it('draws for an answered prompt when no request runs, on the live version and with its own seed', async () => {
    const { exploration, drawings, outcomes, serve } = explore();
    exploration.requestStarted();
    serve();
    expect(drawings).toHaveLength(0);
    exploration.requestEnded();
    expect(drawings).toHaveLength(1);
    expect(drawings[0]?.request).toMatchObject({ n: 3, seed: 100, origin: 'explored', sampling: { topLogprobs: 0 } });
    expect(drawings[0]?.request.version).toBeUndefined();
    await drawings[0]?.end();
    expect(exploration.status).toEqual({ share: 1, completions: 3, waiting: 0, kept: 3, gaveWay: 0 });
    expect(outcomes).toEqual(['kept']);
  });

  it('takes only stored, sampled single requests, and only its share of them', () => {
    let next = 0;
    const { exploration, serve } = explore({ share: 0.5, completions: 1 }, () => next);
    exploration.requestStarted();
    serve(answered({ n: 2 }));
    serve(answered({ store: false }));
    serve(answered({ temperature: 0 }));
    expect(exploration.status.waiting).toBe(0);
    serve();
    next = 0.49;
    serve();
    next = 0.5;
    serve();
    expect(exploration.status.waiting).toBe(2);
  });

  it('gives way to a request at once, and draws the rest when the request has ended', async () => {
    const { exploration, drawings, outcomes, serve } = explore();
    serve();
    exploration.requestStarted();
    expect(drawings[0]?.signal.aborted).toBe(true);
    await drawings[0]?.end(2);
    expect(drawings).toHaveLength(1);
    expect(exploration.status).toMatchObject({ kept: 1, gaveWay: 1, waiting: 1 });
    exploration.requestEnded();
    expect(drawings[1]?.request).toMatchObject({ n: 2, seed: 101 });
    await drawings[1]?.end();
    expect(outcomes).toEqual(['gave_way', 'kept']);
  });

  it('draws for one prompt at a time, in the order of the answers', async () => {
    const { drawings, serve } = explore();
    serve(answered({ groupKey: 'first' }));
    serve(answered({ groupKey: 'second' }));
    // The second request ended the draw for the first.
    await drawings[0]?.end(3);
    expect(drawings.map(({ request }) => request.groupKey)).toEqual(['first', 'first']);
    await drawings[1]?.end();
    expect(drawings.map(({ request }) => request.groupKey)).toEqual(['first', 'first', 'second']);
  });

  it('leaves out a prompt whose draw fails, and goes on with the next one', async () => {
    const { exploration, drawings, outcomes, serve } = explore();
    exploration.requestStarted();
    serve(answered({ groupKey: 'first' }));
    serve(answered({ groupKey: 'second' }));
    exploration.requestEnded();
    await drawings[0]?.fail();
    await drawings[1]?.end();
    expect(drawings.map(({ request }) => request.groupKey)).toEqual(['first', 'second']);
    expect(outcomes).toEqual(['failed', 'kept']);
    expect(exploration.status).toMatchObject({ kept: 3, waiting: 0 });
  });

  it('lets a bounded number of prompts wait, and the oldest one makes room', () => {
    const { exploration, drawings, outcomes, serve } = explore();
    exploration.requestStarted();
    for (let i = 0; i <= maxWaitingPrompts; i++) serve(answered({ groupKey: String(i) }));
    expect(exploration.status.waiting).toBe(maxWaitingPrompts);
    expect(outcomes).toEqual(['dropped']);
    exploration.requestEnded();
    expect(drawings[0]?.request.groupKey).toBe('1');
  });

  it('forgets the waiting prompts and the running draw of a subject', async () => {
    const { exploration, drawings, outcomes, serve } = explore();
    exploration.requestStarted();
    for (const subject of ['ann', 'ben', 'ann']) serve(answered({ subject }));
    exploration.requestEnded();
    expect(drawings[0]?.wanted()).toBe(true);
    exploration.forget('ann');
    expect(drawings[0]?.signal.aborted).toBe(true);
    expect(drawings[0]?.wanted()).toBe(false);
    await drawings[0]?.end(3);
    expect(outcomes).toEqual(['dropped']);
    await drawings[1]?.end();
    expect(drawings.map(({ request }) => request.subject)).toEqual(['ann', 'ben']);
  });

  it('ends its draw when it is closed, and begins no other one', async () => {
    const { exploration, drawings, serve } = explore();
    exploration.requestStarted();
    serve();
    serve();
    exploration.requestEnded();
    let closed = false;
    const closing = exploration.close().then(() => {
      closed = true;
    });
    expect(drawings[0]?.signal.aborted).toBe(true);
    await settled();
    expect(closed).toBe(false);
    await drawings[0]?.end(3);
    await closing;
    serve();
    expect(drawings).toHaveLength(1);
    await exploration.close();
  });

  it('is off by default, and refuses a share below 0 or above 1', () => {
    expect(checkExploration({})).toEqual({ share: 0, completions: 3 });
    for (const wrong of [{ share: 1.1 }, { share: -0.1 }, { share: Number.NaN }, { completions: 0 }]) {
      expect(() => checkExploration(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    }
  });
});

describe('an agent that explores', () => {
  /** Answers a request with one token, and draws as the test decides. */
  const answering = (draw: Script): Script =>
    async function* (request, signal) {
      if (request.background === true) return yield* draw(request, signal);
      yield started;
      yield token(0, 97);
      yield finished(0, 'stop');
    };
  const exploring = { agent: { exploration: { share: 1, completions: 2 }, learner: null } };
  const ask = async (loop: Loop): Promise<AgentEvent[]> => {
    const all: AgentEvent[] = [];
    for await (const event of loop.agent.generate({ prompt: 'ab', subject: 'ann', metadata: { page: 'home' } })) {
      all.push(event);
    }
    return all;
  };
  const stored = (loop: Loop) => {
    const reader = openReplayReader(join(loop.folder, 'replay.sqlite'));
    const ids = reader.readSince(0, 100).flatMap((change) => ('generationId' in change ? [change.generationId] : []));
    const generations = reader.readGenerations([...new Set(ids)]);
    reader.close();
    return generations;
  };

  it('stores a draw like an answer of the same subject, and does not show it to the caller', async () => {
    const script = answering(async function* () {
      yield started;
      yield token(0, 98);
      yield token(1, 99);
      yield finished(0, 'length');
      yield finished(1, 'stop');
    });
    await using loop = await openLoop(script, 1000, {}, exploring);
    const events = await ask(loop);
    expect(events.map(({ type }) => type)).toEqual(['started', 'chunk', 'finished', 'ended']);
    while ((await loop.agent.status()).exploration.kept < 2);
    const [answer, ...others] = stored(loop);
    expect(answer).toMatchObject({ id: (events[0] as StartedEvent).generationIds[0], origin: 'sampled' });
    const { groupKey, promptJson, subject, metadataJson } = answer as NonNullable<typeof answer>;
    const same = { groupKey, promptJson, subject, metadataJson, origin: 'explored', state: 'finished' };
    expect(others).toMatchObject([
      { ...same, text: 'b', finishReason: 'length' },
      { ...same, text: 'c', finishReason: 'stop' },
    ]);
  });

  it('stores nothing of a draw that a request ended, and can close in the middle of a draw', async () => {
    let gaveWay: (drawn: BackgroundDraw) => void = () => undefined;
    const first = new Promise<BackgroundDraw>((resolve) => {
      gaveWay = resolve;
    });
    const script = answering(async function* (_, signal) {
      yield started;
      yield token(0, 98);
      yield finished(0, 'stop');
      while (!signal.aborted) {
        yield token(1, 99);
        await new Promise(setImmediate);
      }
      yield finished(1, 'cancelled');
    });
    const explored = (outcome: ExplorationOutcome, drawn: BackgroundDraw) => {
      if (outcome === 'gave_way') gaveWay(drawn);
    };
    await using loop = await openLoop(script, 1000, { explored }, exploring);
    await ask(loop);
    await ask(loop);
    expect(await first).toMatchObject({ kept: 1, cancelled: 1 });
    const kept = stored(loop).map(({ origin, text, state }) => `${origin} ${text} ${state}`);
    expect(kept.sort()).toEqual(['explored b finished', 'sampled a finished', 'sampled a finished']);
    await loop.agent.close();
    const last = stored(loop).map(({ origin, text, state }) => `${origin} ${text} ${state}`);
    expect(new Set(last)).toEqual(new Set(kept));
  });
});
