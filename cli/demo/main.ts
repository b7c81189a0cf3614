/**
 * `hone demo`: the whole loop against the real server, in about three minutes.
 *
 * A server with its learner is started on a data directory of its own. An app plays its users: several completions per
 * post, a judge scores them, some late, some never. Held-out posts are answered by the first version and, at the end, by
 * the last one; both are judged and compared. Whether anything was learned is said first, and by the exit code.
 */

import { mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { connect, type HoneClient, type HoneEvent, type HoneEventType, type Version } from '../../client/index.js';
import { createProgress } from '../../models/recipe/progress.js';
import { exitCodes, UsageError } from '../failure.js';
import { formatFixed, remark } from '../output.js';
import { App } from './app.js';
import { evaluate } from './evaluation.js';
import { type Course, outcomeOf } from './outcome.js';
import { writePage } from './page.js';
import { type DemoResult, klOf, type Moment, show } from './report.js';
import { startServer } from './server.js';
import { Traffic } from './traffic.js';
import { heldOutPosts, loadJudge } from './world.js';

/** For thousands of scores within minutes: rounds are large, and each score is used half as often as by default. */
const learner = { scoresPerRound: 128, replayRatio: 3, beta: 0.05 };

/** How the demo's users behave. */
const plan = {
  completionsPerPost: 4,
  users: 12,
  lateShare: 0.15,
  neverShare: 0.05,
  maxAhead: 192,
} as const;

/** Trouble that can be why nothing was learned. */
const troubles: readonly HoneEventType[] = ['worker_restarted', 'learner_setback', 'learner_starved', 'store_failed'];

/** How long the learner and the gate have for what they were given last. */
const lastRoundMs = 60_000;

/** What the demo is told. */
export interface DemoFlags {
  /** Path of a module whose default export scores (post, completion). Default: the judge that comes with Hone. */
  readonly judge?: string;
  /** Where the demo's store, versions and report go. Default: a folder of its own below `data/`. */
  readonly data?: string;
  readonly seed?: number;
  /** Scores that the users give in all. */
  readonly scores: number;
  /** Held-out posts to compare on. */
  readonly posts: number;
  readonly json?: boolean;
}

/** Runs the demo. Returns the command's exit code. */
export async function runDemo(flags: DemoFlags): Promise<number> {
  const startedAt = Date.now();
  const judge = await loadJudge(flags.judge);
  const data = resolve(flags.data ?? join('data', `demo-${new Date(startedAt).toISOString().replace(/[:.]/g, '-')}`));
  openFolder(data);
  const seed = flags.seed ?? 1;
  remark('Starting the server and its learner ...');
  const server = await startServer({ data, flags: ['--learner-settings', JSON.stringify(learner)] });
  const client = await connect({ address: server.address });
  const watching = new AbortController();
  try {
    remark(`The server listens at ${server.address}; its data lies in ${data}`);
    const events: HoneEvent[] = [];
    void collect(client, events, watching.signal);
    const traffic = new Traffic();
    const app = new App({ ...plan, client, judge, seed, traffic, budget: flags.scores });
    const posts = heldOutPosts(flags.posts);
    // The first version answers the held-out posts while the loop already runs: a version can be pinned.
    const baseline = evaluate({ client, judge, posts, samplesPerPost: 16, version: 0, seed, concurrency: 2, traffic });
    // Its failure is met where it is awaited.
    baseline.catch(() => undefined);
    const moments = await watch(client, app, traffic, flags.scores, startedAt);
    const before = await baseline;
    await learnerIdle(client, app);
    const course = await courseOf(client, events, app.figures.scores);
    const compared = { client, judge, posts, seed: seed + 1, traffic };
    const after = servesTheFirst(course) ? undefined : await measureLast(compared, course.live.number);
    const comparison = { before, ...(after === undefined ? {} : { after }) };
    const outcome = outcomeOf(course, comparison);
    const result: DemoResult = {
      ...comparison,
      outcome,
      versions: course.versions,
      kl: klOf(course.versions, course.live),
      liveVersion: course.live.number,
      app: app.figures,
      seconds: (Date.now() - startedAt) / 1000,
      moments,
    };
    const page = join(data, 'report.html');
    await writePage(page, result);
    show(result, page, flags.json === true);
    return outcome.kind === 'learned' ? exitCodes.ok : exitCodes.nothingLearned;
  } finally {
    watching.abort();
    client.close();
    await server.close();
  }
}

/** What an earlier run has learned would be taken for this one's. */
function openFolder(data: string): void {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  if (readdirSync(data).length > 0) {
    throw new UsageError(`${data} is not empty: name a new folder, or leave --data away to have one made.`);
  }
}

async function collect(client: HoneClient, events: HoneEvent[], signal: AbortSignal): Promise<void> {
  try {
    for await (const event of client.watchEvents({ afterSequence: 0, types: troubles, signal })) events.push(event);
  } catch {
    // The demo ends, or the server did: then a call of the demo has failed too.
  }
}

/** Follows the run once a second until the app is done. */
async function watch(
  client: HoneClient,
  app: App,
  traffic: Traffic,
  budget: number,
  startedAt: number,
): Promise<Moment[]> {
  const moments: Moment[] = [];
  const progress = createProgress('learning', budget);
  let running = true;
  const done = app.run().finally(() => {
    running = false;
  });
  let rounds = 0;
  let seen = 0;
  while (running) {
    await Promise.race([done, new Promise((wake) => setTimeout(wake, 1000))]);
    const { learner, live } = await client.status();
    // A round uses what was there when it began; an idle learner has used all that it was given.
    if (learner.state === 'idle') app.scoresLearned = learner.scoresSeen;
    else if (learner.rounds > rounds) app.scoresLearned = seen;
    rounds = learner.rounds;
    seen = learner.scoresSeen;
    const { busyMs, tokens } = traffic.take();
    const tokensPerSecond = busyMs < leastBusyMs ? null : (tokens * 1000) / busyMs;
    moments.push({ seconds: (Date.now() - startedAt) / 1000, tokensPerSecond });
    const recent = app.figures.rewards.slice(-128);
    const reward = recent.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, recent.length);
    const kl = learner.kl === undefined ? '-' : formatFixed(learner.kl, 2);
    const pace = tokensPerSecond === null ? 'waiting for the learner' : `${Math.round(tokensPerSecond)} tokens/s`;
    progress.update(
      app.figures.scores,
      `${app.figures.scores} scores, reward ${reward.toFixed(2)}, version ${live.number}, KL ${kl}, ${pace}`,
    );
  }
  await done;
  progress.finish(`${app.figures.scores} scores for ${app.figures.posts} posts`);
  return moments;
}

/** A rate over less says nothing. */
const leastBusyMs = 100;

/** Waits until the learner has used what it was given and the gate has decided on its last candidate. */
async function learnerIdle(client: HoneClient, app: App): Promise<void> {
  const deadline = Date.now() + lastRoundMs;
  const progress = createProgress('last round', 1);
  for (let idleSince = 0; Date.now() < deadline; ) {
    const { learner, live, rollout } = await client.status();
    const judging = rollout.judging ?? rollout.waiting;
    progress.update(
      0,
      judging === undefined
        ? `the learner is ${learner.state}, version ${live.number} serves`
        : `version ${judging} is at the gate, version ${live.number} serves`,
    );
    // One that has stopped itself goes on by nobody's doing here.
    if (learner.state === 'halted' && judging === undefined) break;
    if (learner.state !== 'idle' || learner.scoresSeen < app.figures.scores || judging !== undefined) idleSince = 0;
    else if (idleSince === 0) idleSince = Date.now();
    else if (Date.now() - idleSince > 1000) break;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  progress.finish('done');
}

async function courseOf(client: HoneClient, events: readonly HoneEvent[], scores: number): Promise<Course> {
  const { learner: report, live, rollout } = await client.status();
  const versions: Version[] = [];
  for await (const version of client.versions()) versions.push(version);
  return {
    versions,
    live,
    learner: report,
    judging: rollout.judging ?? rollout.waiting,
    events,
    scores,
    scoresPerRound: learner.scoresPerRound,
  };
}

/** Also after a rollback, whose version has a number of its own. */
function servesTheFirst({ versions, live }: Course): boolean {
  return live.adapterDigest === versions.find(({ number }) => number === 0)?.adapterDigest;
}

async function measureLast(
  options: Pick<Parameters<typeof evaluate>[0], 'client' | 'judge' | 'posts' | 'seed' | 'traffic'>,
  version: number,
): ReturnType<typeof evaluate> {
  const progress = createProgress('measuring', options.posts.length);
  const after = await evaluate({
    ...options,
    version,
    samplesPerPost: 4,
    concurrency: 8,
    onPost: (done) => progress.update(done, 'held-out posts answered by the last version'),
  });
  progress.finish(`${options.posts.length} held-out posts`);
  return after;
}
