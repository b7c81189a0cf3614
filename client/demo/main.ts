/**
 * `hone demo`: the whole loop against the real server, in about three minutes.
 *
 * A server with its learner is started on a data directory of its own. An app plays its users: several candidates per
 * post, a judge scores them, some late, some never. Held-out posts are answered by the first version and, at the end, by
 * the last one; both are judged and compared.
 */

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createProgress } from '../../models/recipe/progress.js';
import type { DemoFlags } from '../cli/demo.js';
import { formatTable, print, printJson, remark } from '../cli/output.js';
import type { HoneClient } from '../client.js';
import { connect } from '../connect.js';
import { App } from './app.js';
import { type Evaluation, evaluate } from './evaluation.js';
import { type DemoResult, type Moment, resultRows, writeReport } from './report.js';
import { startServer } from './server.js';
import { heldOutPosts, loadJudge } from './world.js';

/** For thousands of scores within minutes: rounds are large, and each score is used half as often as by default. */
const learner = { scoresPerRound: 128, replayRatio: 3, beta: 0.05 };

/** How the demo's users behave. */
const plan = {
  candidatesPerPost: 4,
  users: 12,
  lateShare: 0.15,
  neverShare: 0.05,
  maxAhead: 192,
} as const;

/** Runs the demo. Returns the command's exit code. */
export async function runDemo(flags: DemoFlags): Promise<number> {
  const startedAt = Date.now();
  const judge = await loadJudge(flags.judge);
  const data = resolve(flags.data ?? join('data', `demo-${new Date(startedAt).toISOString().replace(/[:.]/g, '-')}`));
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const seed = flags.seed ?? 1;
  remark('Starting the server and its learner ...');
  const server = await startServer({ data, flags: ['--learner-settings', JSON.stringify(learner)] });
  const client = await connect({ address: server.address });
  try {
    remark(`The server listens at ${server.address}; its data lies in ${data}`);
    const app = new App({ ...plan, client, judge, seed, budget: flags.scores });
    const posts = heldOutPosts(flags.posts);
    // The first version answers the held-out posts while the loop already runs: a version can be pinned.
    const baseline = evaluate({ client, judge, posts, samplesPerPost: 16, version: 0, seed, concurrency: 2 });
    // Its failure is met where it is awaited.
    baseline.catch(() => undefined);
    const moments = await watch(client, app, flags.scores, startedAt);
    const before = await baseline;
    await learnerIdle(client, app);
    const progress = createProgress('measuring', posts.length);
    const after = await evaluate({
      client,
      judge,
      posts,
      samplesPerPost: 4,
      seed: seed + 1,
      concurrency: 8,
      onPost: (done) => progress.update(done, 'held-out posts answered by the last version'),
    });
    progress.finish(`${posts.length} held-out posts`);
    const result = await summarize(client, app, before, after, moments, startedAt);
    const report = join(data, 'report.html');
    await writeReport(report, result);
    show(result, report, flags.json === true);
    return 0;
  } finally {
    client.close();
    await server.close();
  }
}

/** Follows the run once a second until the app is done. */
async function watch(client: HoneClient, app: App, budget: number, startedAt: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const progress = createProgress('learning', budget);
  let running = true;
  const done = app.run().finally(() => {
    running = false;
  });
  let rounds = 0;
  let seen = 0;
  let tokensBefore = 0;
  let timeBefore = Date.now();
  while (running) {
    await Promise.race([done, new Promise((wake) => setTimeout(wake, 1000))]);
    const status = await client.status();
    // A round uses what was there when it began; an idle learner has used all that it was given.
    if (status.learner.state === 'idle') app.scoresLearned = status.learner.scoresSeen;
    else if (status.learner.rounds > rounds) app.scoresLearned = seen;
    rounds = status.learner.rounds;
    seen = status.learner.scoresSeen;
    const now = Date.now();
    const tokensPerSecond = ((status.serving.generatedTokens - tokensBefore) * 1000) / Math.max(1, now - timeBefore);
    tokensBefore = status.serving.generatedTokens;
    timeBefore = now;
    const kl = status.learner.kl;
    moments.push({
      seconds: (now - startedAt) / 1000,
      scores: app.figures.scores,
      version: status.live.number,
      tokensPerSecond,
      ...(kl === undefined ? {} : { kl }),
    });
    const recent = app.figures.rewards.slice(-128);
    const reward = recent.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, recent.length);
    progress.update(
      app.figures.scores,
      `${app.figures.scores} scores, reward ${reward.toFixed(2)}, version ${status.live.number}, KL ${kl?.toFixed(2) ?? '-'}, ${Math.round(tokensPerSecond)} tokens/s`,
    );
  }
  await done;
  progress.finish(`${app.figures.scores} scores for ${app.figures.posts} posts`);
  return moments;
}

/** Waits until the learner has used what it was given and the gate has decided on its last candidate. */
async function learnerIdle(client: HoneClient, app: App): Promise<void> {
  const deadline = Date.now() + 60_000;
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
    if (learner.state !== 'idle' || learner.scoresSeen < app.figures.scores || judging !== undefined) idleSince = 0;
    else if (idleSince === 0) idleSince = Date.now();
    else if (Date.now() - idleSince > 1000) break;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  progress.finish('done');
}

async function summarize(
  client: HoneClient,
  app: App,
  before: Evaluation,
  after: Evaluation,
  moments: readonly Moment[],
  startedAt: number,
): Promise<DemoResult> {
  const { learner } = await client.status();
  const { generations, scores, refused, cut, rewards } = app.figures;
  return {
    before,
    after,
    bestOf4: before.bestOf(4),
    bestOf16: before.bestOf(16),
    kl: learner.kl ?? 0,
    versions: after.version,
    generations,
    scores,
    refused,
    cut,
    seconds: (Date.now() - startedAt) / 1000,
    rewards,
    moments,
  };
}

function show(result: DemoResult, report: string, json: boolean): void {
  const say = json ? (...lines: string[]) => lines.forEach(remark) : print;
  const { before, after } = result;
  say('', ...formatTable(['', `version ${before.version}`, `version ${after.version}`], resultRows(result)), '');
  for (const [i, sample] of before.samples.slice(0, 3).entries()) {
    const last = after.samples[i];
    say(
      sample.post,
      `  first ${sample.score.toFixed(2)}  ${sample.text}`,
      `  last  ${last?.score.toFixed(2)}  ${last?.text}`,
      '',
    );
  }
  say(
    `${result.scores} scores, ${result.generations} completions, ${result.versions} versions, ${result.refused} refused, ${result.cut} cut, ${Math.round(result.seconds)} s`,
    `The curves: ${report}`,
  );
  if (!json) return;
  printJson({
    reward_before: before.reward,
    reward_after: after.reward,
    stderr: after.standardError,
    best_of_4: result.bestOf4,
    kl: result.kl,
    versions: result.versions,
    generations: result.generations,
    scores: result.scores,
    refused: result.refused,
    cut: result.cut,
    seconds: Math.round(result.seconds),
  });
}
