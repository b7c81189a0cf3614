/**
 * Scores and settings that make training explode, against the real server: it never serves a broken version, with or
 * without a gate.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { HoneClient, HoneEvent, HoneEventType, LearnerStatus } from '../../client/index.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
afterEach(() => server[Symbol.asyncDispose]());

type Judge = (text: string, tokens: readonly number[], index: number) => number;

async function open(settings: object, ...args: string[]): Promise<HoneClient> {
  const learner = { holdoutShare: 0, scoresPerRound: 32, groupSize: 4, replayRatio: 4, ...settings };
  server = await startServer({ args: ['--learner', 'on', '--learner-settings', JSON.stringify(learner), ...args] });
  return server.connect();
}

/** Requests and scores eight prompts with four completions each, which is a round of scores. */
async function askAndScore(client: HoneClient, round: number, judge: Judge): Promise<void> {
  await Promise.all(
    Array.from({ length: 8 }, async (_, p) => {
      const { completions } = await client.generate({ prompt: `round ${round} prompt ${p}`, n: 4, maxTokens: 12 });
      await client.feedback(
        completions.map(({ generationId, text, tokenIds }, i) => ({ generationId, score: judge(text, tokenIds, i) })),
      );
    }),
  );
}

/** Plays rounds until the learner's status satisfies `done`; it waits for the end of every round. */
async function play(
  client: HoneClient,
  judge: Judge,
  done: (learner: LearnerStatus) => boolean,
): Promise<LearnerStatus> {
  for (let round = 0; round < 40; round++) {
    const before = await client.learnerStatus();
    if (done(before)) return before;
    await askAndScore(client, round, judge);
    await until(async () => {
      const now = await client.learnerStatus();
      return done(now) || (now.rounds > before.rounds && now.state !== 'training');
    }, `round ${round} ended`);
  }
  return client.learnerStatus();
}

async function eventsOf(client: HoneClient, type: HoneEventType, count: number): Promise<HoneEvent[]> {
  const events: HoneEvent[] = [];
  for await (const event of client.watchEvents({ afterSequence: 0, types: [type] })) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

const letters: Judge = (text) => (text.match(/[a-m]/gi)?.length ?? 0) / Math.max(1, text.length);

describe.each([['on'], ['off']])('with the gate %s', (gate) => {
  it('a learner whose training explodes halts, reports why, and continues only when it is resumed', async () => {
    const client = await open({ learningRate: 1, warmupSteps: 0 }, '--gate', gate);
    const { haltedBecause, setbacks } = await play(client, letters, ({ state }) => state === 'halted');
    expect(haltedBecause).toMatch(/bound|finite/);
    expect(setbacks).toBeGreaterThanOrEqual(3);
    const [first] = await eventsOf(client, 'learner_setback', 3);
    expect(first?.detail).toContain('--learning-rate');
    expect(first?.numbers).toMatchObject({ in_a_row: 1 });
    // The version that serves in the end has healthy figures.
    const live = (await client.status()).live;
    expect(live.number === 0 || live.origin === 'rollback').toBe(true);
    expect((await client.resumeLearner()).state).toMatch(/halted|idle/);
    await until(async () => (await client.learnerStatus()).state === 'idle', 'the learner is idle');
  });
});

describe('a score that is not finite, out of range or without information', () => {
  it('is refused, or does not move the policy', async () => {
    const settings = join(temporaryFolder(), 'rewards.json');
    writeFileSync(settings, JSON.stringify({ defaultMetric: { min: -1e100, max: 1e100 } }));
    const client = await open({ learningRate: 0.05 }, '--gate', 'off', '--reward-settings', settings);
    const { completions } = await client.generate({ prompt: 'a', maxTokens: 4 });
    const generationId = completions[0]?.generationId ?? '';
    for (const score of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e308, -1e308]) {
      await expect(client.feedback({ generationId, score })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    }
    expect((await client.status()).replay.scores).toBe(0);
    // The largest scores that any range can hold.
    await play(
      client,
      (_text, _tokens, i) => (i % 2 === 0 ? 1e100 : -1e100),
      ({ rounds }) => rounds >= 1,
    );
    const learner = await play(
      client,
      () => 0,
      ({ rounds }) => rounds >= 4,
    );
    expect(learner.droppedSteps).toBe(0);
    expect(learner.kl ?? 0).toBeLessThan(10);
  });
});

describe('a malicious rater', () => {
  it('moves the policy within bounds at most, among honest raters or alone, without a gate', async () => {
    const client = await open({ learningRate: 0.05 }, '--gate', 'off');
    const degenerate: Judge = (_text, tokens) => 1 - new Set(tokens).size / Math.max(1, tokens.length);
    const mixed: Judge = (text, tokens, i) => (i === 0 ? 1 - letters(text, tokens, i) : letters(text, tokens, i));
    await play(client, mixed, ({ rounds, state }) => rounds >= 3 || state === 'halted');
    await play(client, degenerate, ({ rounds, state }) => rounds >= 9 || state === 'halted');
    const inBounds = async (): Promise<boolean> => {
      const { learner, live } = await client.status();
      return learner.state === 'halted' || live.origin === 'rollback' || (learner.kl ?? 0) < 12;
    };
    // A round has few completions. Further rounds show whether the live version is too far away, and the guard rolls it back.
    for (let more = 0; more < 10 && !(await inBounds()); more++) {
      const { rounds } = await client.learnerStatus();
      await play(client, degenerate, (learner) => learner.rounds > rounds || learner.state === 'halted');
    }
    expect(await inBounds(), JSON.stringify(await client.learnerStatus())).toBe(true);
  });
});
