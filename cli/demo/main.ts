/**
 * Runs `hone demo`: plays the whole loop against the real server, in about three minutes.
 *
 * The demo starts a server with its learner on its own data directory. A simulated app sends posts, gets several
 * completions of each, and a judge scores them. The first version and, at the end, the last version answer held-out
 * posts, and the demo compares their scores. The report begins with whether the model learned; so does the exit code.
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

/** The demo has thousands of scores within minutes, so rounds are large and use each score half as often as by default. */
const learner = { scoresPerRound: 128, replayRatio: 3, beta: 0.05 };

/** The behaviour of the app's users. */
const plan = {
  completionsPerPost: 4,
  users: 12,
  lateShare: 0.15,
  neverShare: 0.05,
  maxAhead: 192,
} as const;

/** Events that may explain why nothing was learned. */
const troubles: readonly HoneEventType[] = [
  'worker_restarted',
  'learner_setback',
  'learner_starved',
  'gate_starved',
  'store_failed',
];

/** Longest wait at the end for the learner's last round and the gate's last verdict. */
const lastRoundMs = 60_000;

/** The flags of the command. */
export interface DemoFlags {
  /** Path of a module whose default export scores (post, completion). Default: the judge of facts. */
  readonly judge?: string;
  /** Folder for the demo's store, versions and report. Default: a new folder below `data/`. */
  readonly data?: string;
  readonly seed?: number;
  /** Total number of scores that the users give. */
  readonly scores: number;
  /** Number of held-out posts to compare on. */
  readonly posts: number;
  readonly json?: boolean;
}

/** Runs the demo. @returns the exit code of the command */
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
    remark(`The server listens on ${server.address}; its data is in ${data}`);
    const events: HoneEvent[] = [];
    void collect(client, events, watching.signal);
    const traffic = new Traffic();
    const app = new App({ ...plan, client, judge, seed, traffic, budget: flags.scores });
    const posts = heldOutPosts(flags.posts);
    // A request can name its version, so version 0 answers the held-out posts while newer ones go live.
    const baseline = evaluate({ client, judge, posts, samplesPerPost: 16, version: 0, seed, concurrency: 2, traffic });
    // If it fails, the `await` below throws.
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

/** Creates the folder. @throws UsageError if it holds anything: versions of an earlier run would spoil the result */
function openFolder(data: string): void {
  mkdirSync(data, { recursive: true, mode: 0o700 });
  if (readdirSync(data).length > 0) {
    throw new UsageError(`${data} is not empty: name a new folder, or omit --data and the demo makes one.`);
  }
}

async function collect(client: HoneClient, events: HoneEvent[], signal: AbortSignal): Promise<void> {
  try {
    for await (const event of client.watchEvents({ afterSequence: 0, types: troubles, signal })) events.push(event);
  } catch {
    // The demo has ended, or the server has; then another call of the demo fails and reports it.
  }
}

/** Shows the progress of the app every second, until the app has ended. @returns a record of each second */
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
    // A round uses the scores that were there when it began. An idle learner has used all of them.
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

/** Shortest busy time in a second from which to compute a rate. */
const leastBusyMs = 100;

/** Waits until the learner has used all scores and the gate has judged its last candidate, or until the time is up. */
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
    // A learner that has stopped itself stays stopped, because the demo does not resume it.
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

/** Whether the weights of version 0 serve, also under the number of a rollback. */
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
