/** Fifty times kill -9 at random moments under load, and between a candidate and its promotion. */

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { HoneClient, Version } from '../../client/index.js';
import { createRandom } from '../../src/learner/random.js';
import { childrenOf, eagerLearner } from '../support/app.js';
import { isAlive, startServer, type TestServer, temporaryFolder, until } from '../support/server.js';
import { expectCut, load } from './storm-load.js';
import { StormModel } from './storm-model.js';

/** Lives of one data directory, one after another. */
interface Lane {
  readonly kills: number;
  /** Whether a learner runs; then a life ends on the way of a version of it: see {@link stations}. */
  readonly learns: boolean;
  /** Every so many-th life may end before the server is ready. */
  readonly earlyEvery: number;
  /** Of the load: what comes in faster makes rounds too long for a learner at the lowest priority. */
  readonly pauseMs: number;
}

const kills = Number(process.env.HONE_STORM_KILLS ?? 50);
const learning = Math.ceil(kills / 6);
const lanes: readonly Lane[] = [
  { kills: kills - learning, learns: false, earlyEvery: 6, pauseMs: 0 },
  { kills: learning, learns: true, earlyEvery: 8, pauseMs: 20 },
];
const timeoutMs = 300_000;
/** Where on its way to the head a kill meets a version. */
const stations = ['version_created', 'version_judged', 'version_promoted'] as const;
const longestLifeMs = 6_000;

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

async function live(data: string, model: StormModel, witness: Witness, lane: Lane, random: () => number) {
  const { learns, pauseMs } = lane;
  witness.look(data);
  const server = await startServer({ data, args: learns ? eagerLearner : [] });
  const children = learns ? childrenOf(server.ready.pid) : [];
  try {
    expect(children).toHaveLength(learns ? 1 : 0);
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await check(client, data, model, witness);
    let end = () => {};
    const station = stations[Math.floor(random() * stations.length)] as string;
    const met = new Promise<void>((resolve) => {
      end = resolve;
    });
    const cut = Promise.all([
      witness.watch(client, learns ? station : '', end).catch(expectCut),
      load(client, model, random, pauseMs),
    ]);
    await Promise.race([met, cut, passed(learns ? longestLifeMs : random() * 600)]);
    // Half of the time the learner dies with it, and not because of it.
    if (learns && random() < 0.5) process.kill(children[0] as number, 'SIGKILL');
    process.kill(server.ready.pid, 'SIGKILL');
    await cut;
  } finally {
    await server.kill();
  }
  await until(() => children.every((pid) => !isAlive(pid)), 'the learner is gone, too', 30_000);
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
  await passed(afterMs);
  process.kill(pid, 'SIGKILL');
  const server: TestServer | null = await starting;
  await server?.kill();
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

it(
  'fifty kills lose nothing acknowledged, repeat nothing, leave no orphan, and the live version serves again',
  async () => {
    const seed = Number(process.env.HONE_STORM_SEED ?? Math.floor(Math.random() * 2 ** 32));
    console.log(`seed of the storm: ${seed}`);
    const witnesses = await Promise.all(
      lanes.map(async (lane, index) => {
        const random = createRandom(seed + index);
        const data = temporaryFolder();
        onTestFinished(() => rmSync(data, { recursive: true, force: true }));
        const model = new StormModel();
        const witness = new Witness();
        for (let life = 1; life <= lane.kills; life++) {
          if (life % lane.earlyEvery === 0) await dieEarly(data, random() * 1500);
          else await live(data, model, witness, lane, random);
        }
        witness.look(data);
        // A busy machine makes few versions: some more lives then, until what the storm is about has been met.
        for (let more = 0; lane.learns && more < 20 && !(witness.live > 0 && witness.candidatesLeft > 0); more++) {
          await live(data, model, witness, lane, random);
          witness.look(data);
        }
        await using last = await startServer({ data });
        await check(await last.connect(), data, model, witness);
        model.checkScores(join(data, 'replay.sqlite'));
        const { finished, generations, scores } = model.size;
        expect(finished).toBeGreaterThan(lane.kills);
        expect(generations).toBeGreaterThan(finished);
        expect(scores).toBeGreaterThan(10 * lane.kills);
        return witness;
      }),
    );
    expect(Math.max(...witnesses.map((witness) => witness.live))).toBeGreaterThan(0);
    // Some of the kills came between a candidate and its promotion.
    expect(witnesses.reduce((sum, { candidatesLeft }) => sum + candidatesLeft, 0)).toBeGreaterThan(0);
  },
  timeoutMs,
);
