/**
 * Tokens per second of the real policy worker, greedy, around context 64 (a prompt of 32 tokens, 64 more), with an
 * adapter of rank 8 fed as in serving; and the share of the read bandwidth that the weights alone account for.
 *
 * A step reads every weight once, whatever the batch, so `limit_ratio_b<n>` is bytes of weights times steps per second
 * over the bandwidth. A model that fits the caches is compared with the bandwidth over a tensor of its own size.
 */

import { measureDecodeRate } from './lib/decode-rate.js';
import { measureReadBandwidth } from './lib/limits.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { openBenchPolicy } from './lib/policy.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { median } from './lib/statistics.js';

const batches = [1, 8, 16] as const;
/** Larger than any cache that this is likely to run on. */
const streamedBytes = 1e9;

export async function benchDecode(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const { threads, smoke } = options;
  const bytes = smoke ? 16e6 : streamedBytes;
  say(`read bandwidth on ${threads} threads ...`);
  let streamed = await measureReadBandwidth(bytes, threads);
  const figures: Record<string, Figures> = {};
  const rates = new Map<BenchModel, Map<number, number>>();
  const resident = new Map<BenchModel, number>();
  for (const model of models) {
    const measured = await measureModel(model, options);
    rates.set(model, measured.rates);
    figures[model.name] = measured.figures;
    if (model.weightBytes < streamedBytes / 8) {
      resident.set(model, (await measureReadBandwidth(model.weightBytes, threads)).bytesPerSecond);
    }
    const again = await measureReadBandwidth(bytes, threads);
    if (again.bytesPerSecond > streamed.bytesPerSecond) streamed = again;
  }
  for (const [model, byBatch] of rates) {
    const bandwidth = Math.max(streamed.bytesPerSecond, resident.get(model) ?? 0);
    figures[model.name] = {
      ...figures[model.name],
      ...Object.fromEntries(
        [...byBatch].map(([batch, rate]) => [
          `limit_ratio_b${batch}`,
          (model.weightBytes * (rate / batch)) / bandwidth,
        ]),
      ),
      weights_mb: model.weightBytes / 1e6,
      limit_gbps: bandwidth / 1e9,
    };
  }
  return {
    title: `decode, greedy, context 64, adapter r=8, ${threads} threads${options.spin ? ', spinning' : ''}`,
    limits: { read_gbps: streamed.bytesPerSecond / 1e9, read_operator: streamed.operator, threads },
    models: figures,
    shares: batches.map((batch) => `limit_ratio_b${batch}`),
  };
}

async function measureModel(
  model: BenchModel,
  options: BenchOptions,
): Promise<{ rates: Map<number, number>; figures: Figures }> {
  const { smoke } = options;
  const task = smoke ? { promptLength: 8, maxTokens: 12 } : { promptLength: 32, maxTokens: 64 };
  const policy = await openBenchPolicy(model.directory, options);
  const rates = new Map<number, number>();
  const figures: Record<string, number> = {};
  try {
    for (const batch of batches) {
      say(`${model.name}: batch ${batch} ...`);
      // The first run warms up; it does not count.
      const runs = [];
      for (let i = 0; i <= (smoke ? 1 : 3); i++) runs.push(await measureDecodeRate(policy, { ...task, batch }));
      const counted = runs.slice(1);
      const rate = median(counted.map(({ tokensPerSecond }) => tokensPerSecond));
      rates.set(batch, rate);
      figures[`tokens_per_s_b${batch}`] = rate;
      if (batch === 1) figures.first_token_ms = median(counted.map(({ firstTokenMs }) => firstTokenMs));
    }
  } finally {
    await policy.close();
  }
  return { rates, figures };
}
