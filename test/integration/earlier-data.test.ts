/**
 * A data directory that a server of an earlier commit left: it is opened as it is, and the server goes on from it.
 * `fixtures/make-data-directory.mjs` made it, and beside it wrote what the earlier client read of that server.
 */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Explanation,
  Generation,
  HoneClient,
  HoneEvent,
  LearnerStatus,
  RolloutStatus,
  ServerStatus,
  Version,
} from '../../client/index.js';
import { playUntil } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { projectFolder, startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

const fixture = join(projectFolder, 'test/fixtures/data-directory');
const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** What the earlier client read before the earlier server stopped. */
const expected = readJson(join(fixture, 'expected.json')) as {
  readonly learnerSettings: string;
  readonly versions: readonly Version[];
  readonly rollout: RolloutStatus;
  readonly replay: ServerStatus['replay'];
  readonly learner: LearnerStatus;
  readonly generations: readonly Generation[];
  readonly explanations: readonly Explanation[];
};
const [newest] = expected.versions as readonly [Version];

let server: TestServer;
let client: HoneClient;

beforeAll(async () => {
  const data = join(temporaryFolder(), 'data');
  cpSync(join(fixture, 'stored'), data, { recursive: true });
  // Otherwise the canary would have lasted too long by now.
  const trialPath = join(data, 'trial.json');
  writeFileSync(trialPath, JSON.stringify({ ...(readJson(trialPath) as object), startedAtMs: Date.now() }));
  const args = ['--learner', 'on', '--learner-settings', expected.learnerSettings];
  server = await startServer({ data, args });
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

describe('a data directory of an earlier commit', () => {
  it('holds something of everything that a server stores', () => {
    const states = new Set(expected.versions.map(({ state }) => state));
    expect([...states].sort()).toEqual(expect.arrayContaining(['canary', 'live', 'rejected', 'retired']));
    const origins = new Set(expected.versions.map(({ origin }) => origin));
    expect([...origins].sort()).toEqual(['base', 'learned', 'rollback']);
    expect(expected.versions.some(({ verdict }) => verdict.length > 0)).toBe(true);
    expect(expected.replay).toMatchObject({ preferences: 1, edits: 1 });
    expect(expected.rollout).toMatchObject({ mode: 'canary', trial: { canary: { candidate: {} } } });
    expect(expected.learner.rounds).toBeGreaterThan(2);
  });

  it('is opened with its versions, and what the gate found of them', async () => {
    const versions: Version[] = [];
    for await (const version of client.versions()) if (version.number <= newest.number) versions.push(version);
    expect(versions).toEqual(expected.versions);
  });

  it('is opened with its generations, their scores and what they are worth', async () => {
    for (const generation of expected.generations) {
      expect(await client.getGeneration(generation.generationId)).toMatchObject(generation);
    }
    for (const explanation of expected.explanations) {
      expect(await client.explain(explanation.generationId)).toMatchObject(explanation);
    }
    const { fileBytes: _, usedBytes: __, ...counts } = expected.replay;
    expect((await client.status()).replay).toMatchObject(counts);
  });

  it('is opened with its mode, and its canary goes on with the rewards that it had', async () => {
    const { mode, trial } = await client.mode();
    expect(mode).toBe('canary');
    expect(trial?.version).toBe(expected.rollout.trial?.version);
    const { endsAtMs: _, ...canary } = expected.rollout.trial?.canary ?? { endsAtMs: 0 };
    expect(trial?.canary).toMatchObject(canary);
  });

  it('is opened with its events', async () => {
    const stored = readFileSync(join(fixture, 'stored/events.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as HoneEvent);
    const events: HoneEvent[] = [];
    for await (const event of client.watchEvents({ afterSequence: 0 })) {
      events.push(event);
      if (events.length === stored.length) break;
    }
    expect(events).toMatchObject(stored);
  });

  it('is served from: the live version and the one on trial answer', async () => {
    for (const { number, adapterDigest } of expected.versions.filter(({ state }) => /live|canary/.test(state))) {
      const answer = await client.generate({ prompt: 'still here', maxTokens: 4, version: number });
      expect(answer).toMatchObject({ version: number, adapterDigest });
    }
  });

  it('is learned on from: the learner goes on with its rounds, and a new version goes live', async () => {
    await until(async () => (await client.learnerStatus()).state === 'idle', 'the learner has read the store');
    const { rounds, steps, lastSequence } = await client.learnerStatus();
    expect({ rounds, steps }).toEqual({ rounds: expected.learner.rounds, steps: expected.learner.steps });
    expect(lastSequence).toBeGreaterThanOrEqual(expected.learner.lastSequence);
    await client.setMode('auto');
    const live = await playUntil(client, newest.number + 1);
    expect(live.origin).toBe('learned');
    expect((await client.learnerStatus()).rounds).toBeGreaterThan(rounds);
  });
});
