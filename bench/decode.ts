/**
 * Measures greedy decoding, and compares it with the machine's read bandwidth and with peers on the same weights.
 *
 * A step reads every weight once, for a batch of any size. So `limit_ratio_b<n>` is bytes of weights times steps per
 * second, divided by the bandwidth. For a model that fits the caches, the bandwidth is that of a tensor of its own size.
 */

import { loadTokenizer } from '../src/package/index.js';
import { type ContestTask, runContest, type Samples } from './lib/contest.js';
import { closeContestants, openContestants } from './lib/contestants.js';
import { decodeFigures, foreignTokens } from './lib/decode-figures.js';
import { arrivalsTask, decodeTasks } from './lib/decode-tasks.js';
import { makeInt8Package } from './lib/int8-package.js';
import { measureReadBandwidth } from './lib/limits.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { installPeers } from './lib/peer-process.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';

/** Larger than the cache of any likely machine. */
const streamedBytes = 1e9;

interface Sizes {
  readonly bandwidthBytes: number;
  /** Tokens of prompt and completion, for a context around 64. */
  readonly short: readonly [number, number];
  /** Tokens of prompt and completion, for a context up to 512. */
  readonly long: readonly [number, number];
  readonly rounds: { readonly leastRounds: number; readonly mostRounds: number; readonly taskMs: number };
}

const fullSizes: Sizes = {
  bandwidthBytes: streamedBytes,
  short: [32, 64],
  long: [416, 96],
  rounds: { leastRounds: 2, mostRounds: 15, taskMs: 12_000 },
};
const quickSizes: Sizes = {
  bandwidthBytes: 16e6,
  short: [8, 12],
  long: [32, 24],
  rounds: { leastRounds: 1, mostRounds: 1, taskMs: 0 },
};

export async function benchDecode(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const { threads } = options;
  const sizes = options.quick ? quickSizes : fullSizes;
  const peers = options.peers && (await installPeers());
  say(`read bandwidth on ${threads} threads ...`);
  let streamed = await measureReadBandwidth(sizes.bandwidthBytes, threads);
  const samples = new Map<BenchModel, Samples>();
  const resident = new Map<BenchModel, number>();
  for (const model of models) {
    samples.set(model, await measureModel(model, { ...options, peers }, sizes));
    if (model.weightBytes < streamedBytes / 8) {
      resident.set(model, (await measureReadBandwidth(model.weightBytes, threads)).bytesPerSecond);
    }
    const again = await measureReadBandwidth(sizes.bandwidthBytes, threads);
    if (again.bytesPerSecond > streamed.bytesPerSecond) streamed = again;
  }
  const figures = Object.fromEntries(
    [...samples].map(([model, measured]): [string, Figures] => {
      const bandwidth = Math.max(streamed.bytesPerSecond, resident.get(model) ?? 0);
      const limit = { weightBytes: model.weightBytes, bandwidth };
      return [
        model.name,
        {
          ...decodeFigures(measured, limit, sizes.long[0]),
          weights_mb: model.weightBytes / 1e6,
          limit_gbps: bandwidth / 1e9,
        },
      ];
    }),
  );
  return {
    title: `decode, greedy, no adapter (lora_: one of rank 8 fed), at most ${threads} threads${options.spin ? ', spinning' : ''}`,
    limits: { read_gbps: streamed.bytesPerSecond / 1e9, read_operator: streamed.operator, threads },
    models: figures,
    shares: Object.keys(decodeTasks).map((task) => `limit_ratio_${task}`),
    problems: Object.entries(figures).flatMap(([model, values]) => foreignTokens(model, values)),
  };
}

async function measureModel(model: BenchModel, options: BenchOptions, sizes: Sizes): Promise<Samples> {
  const tokenizer = await loadTokenizer(model.directory);
  const tasks = Object.entries(decodeTasks).map(([key, requests]): ContestTask => {
    const [promptLength, maxTokens] = key.endsWith('_ctx512') ? sizes.long : sizes.short;
    return { key, requests, promptLength, maxTokens, overMs: 0 };
  });
  const [promptLength, maxTokens] = sizes.short;
  tasks.push({ key: arrivalsTask, requests: 8, promptLength, maxTokens, overMs: options.quick ? 10 : 1000 });
  const contestants = await openContestants(model, tokenizer, {
    threads: options.fixedThreads || options.threads === 1 ? [options.threads] : [options.threads, 1],
    spin: options.spin,
    peers: options.peers,
    int8Package: options.int8 ? await makeInt8Package(model) : undefined,
    sequences: 8,
    contextSize: Math.max(128, sizes.long[0] + sizes.long[1]),
  });
  try {
    return await runContest(model.name, contestants, tasks, tokenizer, sizes.rounds);
  } finally {
    await closeContestants(contestants);
  }
}
