/** kill -9 again and again, at random moments under load, while starting, and between a candidate and its promotion. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { HoneClient, Version } from '../../client/index.js';
import { createRandom } from '../../src/learner/random.js';
import { eagerLearner } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { childrenOf } from '../support/processes.js';
import { startServer, type TestServer } from '../support/server.js';
import { expectCut, load } from '../support/storm/storm-load.js';
import { StormModel } from '../support/storm/storm-model.js';
import { later, signal, until } from '../support/until.js';

/** Lives of one data directory, one after another. */
interface Lane {
  readonly kills: number;
  /** Whether a learner runs; then a life ends on the way of a version of it: see {@link stations}. */
  readonly learns: boolean;
  /** Every so many-th life may end before the server is ready. */
  readonly earlyEvery: number;
  /** Of the load: what comes in without pauses leaves a learner at the lowest priority no time. */
  readonly pauseMs: number;
}

/** Where on its way to the head a kill meets a version. */
const stations = ['version_created', 'version_judged', 'version_promoted'] as const;
/** Of the load, before a life without a learner ends: one to so many. */
const longestLife = 120;
/** A life that ends early does so after so long. */
const longestStartMs = 1500;

/**
 * Kills the server so many times, one time in six with a learner.
 * @param seed repeats the plan of another storm; its timing is the machine's
 */
export async function storm(kills: number, seed: number): Promise<void> {
  console.log(`seed of the storm: ${seed}`);
  const learning = Math.ceil(kills / 6);
  await weather({ kills: kills - learning, learns: false, earlyEvery: 6, pauseMs: 0 }, createRandom(seed));
  await weather({ kills: learning, learns: true, earlyEvery: 8, pauseMs: 100 }, createRandom(seed + 1));
}

async function weather(lane: Lane, random: () => number): Promise<void> {
  const data = temporaryFolder();
  const model = new StormModel();
  const witness = new Witness();
  const hasSeenAll = (): boolean => {
    const { finished, scores } = model.size;
    const worked = finished > lane.kills && scores > 10 * lane.kills;
    // Some of the kills came between a candidate and its promotion.
    return worked && (!lane.learns || (witness.live > 0 && witness.candidatesLeft > 0));
  };
  // Chance may take some more lives until what the storm is about has been met.
  for (let life = 1; life <= lane.kills || (life <= lane.kills + 20 && !hasSeenAll()); life++) {
    if (life % lane.earlyEvery === 0) await dieEarly(data, random() * longestStartMs);
    else await live(data, model, witness, { ...lane, station: stations[life % 3] ?? '' }, random);
    witness.look(data);
  }
  expect(hasSeenAll(), JSON.stringify({ ...model.size, live: witness.live, left: witness.candidatesLeft })).toBe(true);
  await using last = await startServer({ data });
  await check(await last.connect(), data, model, witness);
  model.checkScores(join(data, 'replay.sqlite'));
}

/** What the lives of one data directory have shown so far. */
class Witness {
  #versions: readonly Version[] = [];
  #live = 0;
  #lastEvent = 0;
  readonly #left = new Set<number>();

  get live(): number {
    return this.#live;
  }

  /** Candidates that a kill has kept from going live. */
  get candidatesLeft(): number {
    return this.#left.size;
  }

  /** Before a start: whether the one before died between a candidate and its promotion. */
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
   * Numbers go on without gaps, what a number stands for never changes, and the live one answers. A learner may make
   * the next one live meanwhile.
   */
  async checkVersions(client: HoneClient): Promise<void> {
    const { live } = await client.status();
    const answer = await client.generate({ prompt: 'who serves?', maxTokens: 1, store: false });
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

  /** Follows the events, which are numbered on from the last one that was seen; calls back at the first of a type. */
  async watch(client: HoneClient, type: string, then: () => void): Promise<void> {
    for await (const event of client.watchEvents({ afterSequence: this.#lastEvent })) {
      expect(event.sequence).toBe(this.#lastEvent + 1);
      this.#lastEvent = event.sequence;
      if (event.type === 'version_promoted') this.#live = Math.max(this.#live, event.version ?? 0);
      if (event.type === type) then();
    }
  }
}

/** From one start to the kill. */
async function live(
  data: string,
  model: StormModel,
  witness: Witness,
  { learns, pauseMs, station }: Lane & { readonly station: string },
  random: () => number,
): Promise<void> {
  const server = await startServer({ data, args: learns ? eagerLearner : [] });
  try {
    // It starts when the server is ready.
    if (learns) await until(() => childrenOf(server.ready.pid).length === 1, 'the learner runs');
    const children = learns ? childrenOf(server.ready.pid) : [];
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await check(client, data, model, witness);
    const met = signal();
    if (!learns) model.onAnswers(1 + Math.floor(random() * longestLife), met.give);
    const cut = Promise.all([
      witness.watch(client, learns ? station : '', met.give).catch(expectCut),
      load(client, model, random, pauseMs),
    ]);
    await Promise.race([met.given, cut]);
    // Half of the time the learner dies with it, and not because of it.
    if (learns && random() < 0.5) process.kill(children[0] as number, 'SIGKILL');
    process.kill(server.ready.pid, 'SIGKILL');
    await cut;
  } finally {
    // The learner ends by itself, without its server.
    await server.kill();
  }
}

async function check(client: HoneClient, data: string, model: StormModel, witness: Witness): Promise<void> {
  expect((await client.status()).replay.running).toBe(0);
  model.checkGenerations(join(data, 'replay.sqlite'));
  await witness.checkVersions(client);
  await model.settle(client);
}

/** Kills a server that is still starting, or just has. */
async function dieEarly(data: string, afterMs: number): Promise<void> {
  let pid = 0;
  const starting = startServer({ data, onSpawn: (child) => (pid = child.pid ?? 0) }).catch(() => null);
  await later(afterMs);
  process.kill(pid, 'SIGKILL');
  const server: TestServer | null = await starting;
  await server?.kill();
}
