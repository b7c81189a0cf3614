/**
 * Measures acknowledged scores per second. A client process sends them over gRPC to `hone serve` without a learner, whose
 * store makes a full commit before each acknowledgement. Each score belongs to another generation, and the generations
 * exist before the measurement. There are parts with one and with eight streams, with one and with several items per
 * message.
 *
 * Three contestants take turns with the same load, and medians count: the server; the gRPC library alone, which is an
 * echo in its own process; the store alone, written by the bench's process. After each part the bench opens the server's
 * file and checks that it holds as many scores as were acknowledged.
 */

import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReplayStore } from '../src/replay/index.js';
import type { FeedbackLoad, LoadResult } from './lib/feedback-load.js';
import { startFeedbackClient, startFeedbackEcho } from './lib/feedback-processes.js';
import { countScores, makeGenerations, writeLoad } from './lib/feedback-store.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { Resources } from './lib/resources.js';
import { startBenchServer } from './lib/running-server.js';
import { median, significant, spread } from './lib/statistics.js';

const streamCounts = [1, 8] as const;
const messageSizes = [1, 32] as const;

interface Sizes {
  /** Scores of a round, by items per message. */
  readonly scores: Readonly<Record<(typeof messageSizes)[number], number>>;
  readonly rounds: number;
}

const fullSizes: Sizes = { scores: { 1: 20_000, 32: 50_000 }, rounds: 3 };
const quickSizes: Sizes = { scores: { 1: 200, 32: 1000 }, rounds: 1 };

type MessageSize = (typeof messageSizes)[number];

/** The contestants: the server, and the two that bound its speed. */
const contestantNames = ['server', 'grpc', 'store'] as const;
type Contestant = (typeof contestantNames)[number];

/** The files and settings that all parts share. */
interface Bench {
  readonly packageDirectory: string;
  readonly folder: string;
  /** A store with all generations and no score. */
  readonly prepared: string;
  readonly sizes: Sizes;
}

export async function benchFeedback([model]: readonly BenchModel[], { quick }: BenchOptions): Promise<BenchReport> {
  if (model === undefined) throw new Error('the feedback bench needs a model to serve');
  const sizes = quick ? quickSizes : fullSizes;
  const folder = await mkdtemp(join(tmpdir(), 'hone-bench-feedback-'));
  try {
    const prepared = join(folder, 'prepared.sqlite');
    const generations = Math.max(...messageSizes.map((size) => sizes.scores[size])) * (sizes.rounds + 1);
    say(`making ${generations} generations ...`);
    await makeGenerations(prepared, generations);
    const bench: Bench = { packageDirectory: model.directory, folder, prepared, sizes };
    const columns: Record<string, Figures> = {};
    for (const items of messageSizes) {
      let figures: Figures = {};
      for (const streams of streamCounts) figures = { ...figures, ...(await measurePart(bench, streams, items)) };
      columns[columnOf(items)] = figures;
    }
    return toReport(columns, generations, quick);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const columnOf = (items: MessageSize): string => `items_${items}`;
const suffixOf = (streams: number): string => (streams === 1 ? '1_stream' : `${streams}_streams`);

function toReport(columns: Readonly<Record<string, Figures>>, generations: number, quick: boolean): BenchReport {
  const best = columns[columnOf(32)] as Readonly<Record<string, number>>;
  const suffixes = streamCounts.map(suffixOf);
  return {
    title: 'feedback, acknowledged scores per second, by items per message',
    limits: {},
    models: columns,
    general: {
      // These are the rates with 32 items per message.
      ...Object.fromEntries(suffixes.map((suffix) => [`acked_per_s_${suffix}`, best[`acked_per_s_${suffix}`] ?? null])),
      grpc_limit_per_s: Math.max(...suffixes.map((suffix) => best[`grpc_limit_per_s_${suffix}`] as number)),
      store_limit_per_s: Math.max(...suffixes.map((suffix) => best[`store_limit_per_s_${suffix}`] as number)),
      generations,
    },
    // The shares of a short run are meaningless.
    shares: quick ? [] : suffixes.flatMap((suffix) => [`grpc_share_${suffix}`, `store_share_${suffix}`]),
  };
}

/** Measures one part, with its number of streams and items per message, on its own stores. */
async function measurePart(bench: Bench, streams: number, itemsPerMessage: MessageSize): Promise<Figures> {
  const [data, alone] = [join(bench.folder, 'data'), join(bench.folder, 'alone.sqlite')];
  const served = join(data, 'replay.sqlite');
  await mkdir(data);
  await Promise.all([cp(bench.prepared, served), cp(bench.prepared, alone)]);
  const { acknowledged, rates } = await measureRates(bench, { data, alone }, streams, itemsPerMessage);
  const { scores, scoredGenerations } = await countScores(served);
  if (scores !== acknowledged || scoredGenerations !== acknowledged) {
    throw new Error(
      `${acknowledged} scores were acknowledged, the file holds ${scores} of ${scoredGenerations} generations`,
    );
  }
  await Promise.all([rm(data, { recursive: true }), rm(alone)]);
  const suffix = suffixOf(streams);
  say(
    `${suffix}, ${itemsPerMessage} per message, scores/s: server ${show(rates.server)}; gRPC alone ${show(rates.grpc)}; ` +
      `store alone ${show(rates.store)}; ${acknowledged} acknowledged and found again`,
  );
  const share = (limit: readonly number[]): number =>
    median(rates.server.map((rate, round) => rate / (limit[round] as number)));
  return {
    [`acked_per_s_${suffix}`]: median(rates.server),
    [`grpc_limit_per_s_${suffix}`]: median(rates.grpc),
    [`grpc_share_${suffix}`]: share(rates.grpc),
    [`store_limit_per_s_${suffix}`]: median(rates.store),
    [`store_share_${suffix}`]: share(rates.store),
    [`acked_spread_${suffix}`]: spread(rates.server),
  };
}

type Rates = Record<Contestant, number[]>;

/** Measures the rounds of one part. @returns also the number of scores that the server acknowledged in all rounds */
async function measureRates(
  { packageDirectory, sizes }: Bench,
  { data, alone }: { readonly data: string; readonly alone: string },
  streams: number,
  itemsPerMessage: MessageSize,
): Promise<{ acknowledged: number; rates: Rates }> {
  await using resources = new Resources();
  const server = await startBenchServer(packageDirectory, ['--learner', 'off', '--threads', '1'], data);
  resources.add(() => server.stop());
  const store = await openReplayStore({ path: alone });
  resources.add(() => store.close());
  const echo = await startFeedbackEcho();
  resources.add(() => echo.close());
  const client = await startFeedbackClient();
  resources.add(() => client.close());
  const contestants: Readonly<Record<Contestant, (load: FeedbackLoad) => Promise<LoadResult>>> = {
    server: (load) => client.score(server.address, load),
    grpc: (load) => client.echo(echo.address, load),
    store: (load) => writeLoad(store, load),
  };
  const rates: Rates = { server: [], grpc: [], store: [] };
  let acknowledged = 0;
  const count = sizes.scores[itemsPerMessage];
  // The first round is a warm-up and does not count.
  for (let round = 0; round <= sizes.rounds; round++) {
    const load = { from: round * count, to: (round + 1) * count, streams, itemsPerMessage };
    for (const name of contestantNames) {
      const { stored, seconds } = await contestants[name](load);
      if (stored !== count) throw new Error(`${name}: ${stored} of ${count} scores were stored`);
      if (name === 'server') acknowledged += stored;
      if (round > 0) rates[name].push(count / seconds);
    }
  }
  return { acknowledged, rates };
}

const show = (values: readonly number[]): string => values.map((value) => significant(value, 3)).join(' ');
