/** Kills a server many times: at random moments under load, while it starts, and between a candidate and its promotion. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { HoneClient, Version } from '../../client/index.js';
import { createRandom } from '../../src/learner/random.js';
import { eagerLearner } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { childOf } from '../support/processes.js';
import { startServer, type TestServer } from '../support/server.js';
import { expectCut, load } from '../support/storm/storm-load.js';
import { StormModel } from '../support/storm/storm-model.js';
import { later, signal } from '../support/until.js';

/** A series of lives of a server on one data directory. A life is the time from a start to a kill. */
interface Lane {
  readonly kills: number;
  /** Whether a learner runs. Then the kill meets one of its versions at one of the {@link stations}. */
  readonly learns: boolean;
  /** Of this many lives, one may end before the server is ready. */
  readonly earlyEvery: number;
  /** Pauses of the load: without them, a learner at the lowest priority gets no time. */
  readonly pauseMs: number;
}

/** The event at which the kill meets a version on its way to go live. */
const stations = ['version_created', 'version_judged', 'version_promoted'] as const;
/** A life without a learner ends after at most this many answers. */
const longestLife = 120;
/** A life that ends early lasts at most this long. */
const longestStartMs = 1500;

/**
 * Kills the server `kills` times, one time in six with a learner.
 * @param seed repeats the plan of another storm, but not its timing
 */
export async function storm(kills: number, seed: number): Promise<void> {
  console.log(`seed of the storm: ${seed}`);
  const learning = Math.ceil(kills / 6);
  await runLives({ kills: kills - learning, learns: false, earlyEvery: 6, pauseMs: 0 }, createRandom(seed));
  await runLives({ kills: learning, learns: true, earlyEvery: 8, pauseMs: 100 }, createRandom(seed + 1));
}

async function runLives(lane: Lane, random: () => number): Promise<void> {
  const data = temporaryFolder();
  const model = new StormModel();
  const observer = new Observer();
  const hasSeenAll = (): boolean => {
    const { finished, scores } = model.size;
    const worked = finished > lane.kills && scores > 10 * lane.kills;
    // With a learner, some of the kills must come between a candidate and its promotion.
    return worked && (!lane.learns || (observer.live > 0 && observer.candidatesLeft > 0));
  };
  // It may take some more lives until chance has produced all of these cases.
  for (let life = 1; life <= lane.kills || (life <= lane.kills + 20 && !hasSeenAll()); life++) {
    if (life % lane.earlyEvery === 0) await dieEarly(data, random() * longestStartMs);
    else await live(data, model, observer, { ...lane, station: stations[life % 3] ?? '' }, random);
    observer.look(data);
  }
  expect(hasSeenAll(), JSON.stringify({ ...model.size, live: observer.live, left: observer.candidatesLeft })).toBe(
    true,
  );
  await using last = await startServer({ data });
  await check(await last.connect(), data, model, observer);
  model.checkScores(join(data, 'replay.sqlite'));
}

/** Remembers the versions and events of one data directory, and compares each life with those before it. */
class Observer {
  #versions: readonly Version[] = [];
  #live = 0;
  #lastEvent = 0;
  readonly #left = new Set<number>();

  get live(): number {
    return this.#live;
  }

  /** The number of candidates that a kill kept from going live. */
  get candidatesLeft(): number {
    return this.#left.size;
  }

  /** Called before a start: notes whether the server before died between a candidate and its promotion. */
  look(data: string): void {
    const path = join(data, 'versions', 'log.jsonl');
    const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
    let open: number | null = null;
    for (const { type, version, number } of lines.map((line) => JSON.parse(line))) {
      if (type === 'version' && version.state === 'candidate') open = version.number;
      if (number === open && (type === 'promoted' || type === 'rejected')) open = null;
    }
    if (open !== null) this.#left.add(open);
  }

  /**
   * Checks that version numbers have no gaps, that no version has changed, and that the live version answers. A learner may
   * make the next version live meanwhile.
   */
  async checkVersions(client: HoneClient): Promise<void> {
    const { live } = await client.status();
    const answer = await client.generate({ prompt: 'which version serves?', maxTokens: 1, store: false });
    const versions: Version[] = [];
    for await (const version of client.versions()) versions.unshift(version);
    expect(versions.map(({ number }) => number)).toEqual(versions.map((_, i) => i));
    for (const [i, { adapterDigest, parent, origin }] of this.#versions.entries()) {
      expect(versions[i]).toMatchObject({ adapterDigest, origin, ...(parent === undefined ? {} : { parent }) });
    }
    expect(versions.filter(({ state }) => state === 'live')).toHaveLength(1);
    expect(live.number).toBeGreaterThanOrEqual(this.#live);
    expect(versions[live.number]?.adapterDigest).toBe(live.adapterDigest);
    expect(answer.version).toBeGreaterThanOrEqual(live.number);
    expect(versions[answer.version]?.adapterDigest).toBe(answer.adapterDigest);
    this.#versions = versions;
    this.#live = live.number;
  }

  /** Follows the events, whose numbers must continue from the last one seen. Calls `then` at events of this type. */
  async watch(client: HoneClient, type: string, then: () => void): Promise<void> {
    for await (const event of client.watchEvents({ afterSequence: this.#lastEvent })) {
      expect(event.sequence).toBe(this.#lastEvent + 1);
      this.#lastEvent = event.sequence;
      if (event.type === 'version_promoted') this.#live = Math.max(this.#live, event.version ?? 0);
      if (event.type === type) then();
    }
  }
}

/** Runs one life, from a start to the kill. */
async function live(
  data: string,
  model: StormModel,
  observer: Observer,
  { learns, pauseMs, station }: Lane & { readonly station: string },
  random: () => number,
): Promise<void> {
  const server = await startServer({ data, args: learns ? eagerLearner : [] });
  try {
    // The learner starts only when the server is ready.
    const children = learns ? [await childOf(server.ready.pid)] : [];
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await check(client, data, model, observer);
    const met = signal();
    if (!learns) model.onAnswers(1 + Math.floor(random() * longestLife), met.give);
    const cut = Promise.all([
      observer.watch(client, learns ? station : '', met.give).catch(expectCut),
      load(client, model, random, pauseMs),
    ]);
    await Promise.race([met.given, cut]);
    // Half of the time the learner is killed too, instead of ending because the server has ended.
    if (learns && random() < 0.5) process.kill(children[0] as number, 'SIGKILL');
    process.kill(server.ready.pid, 'SIGKILL');
    await cut;
  } finally {
    // A learner ends by itself when its server has ended.
    await server.kill();
  }
}

async function check(client: HoneClient, data: string, model: StormModel, observer: Observer): Promise<void> {
  expect((await client.status()).replay.running).toBe(0);
  model.checkGenerations(join(data, 'replay.sqlite'));
  await observer.checkVersions(client);
  await model.settle(client);
}

/** Kills a server while it starts, or just after. */
async function dieEarly(data: string, afterMs: number): Promise<void> {
  let pid = 0;
  const starting = startServer({ data, onSpawn: (child) => (pid = child.pid ?? 0) }).catch(() => null);
  await later(afterMs);
  process.kill(pid, 'SIGKILL');
  const server: TestServer | null = await starting;
  await server?.kill();
}
