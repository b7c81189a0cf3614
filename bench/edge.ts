/** Measures the footprint on a small machine: disk for the installation, start-up time, memory while idle and training. */

import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { measureInstallSize } from './lib/install-size.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { measureProcessTree } from './lib/process-memory.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { type BenchServer, startBenchServer } from './lib/running-server.js';
import { median } from './lib/statistics.js';
import { trainInChild } from './lib/train-in-child.js';

const warmStarts = 9;

export async function benchEdge(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const install = measureInstallSize();
  const figures: Record<string, Figures> = {};
  for (const model of models) figures[model.name] = await measureModel(model, options);
  return {
    title: `footprint, ${options.threads} threads`,
    limits: {},
    models: figures,
    general: {
      install_mb: install.totalMb,
      own_mb: install.ownMb,
      dependencies: install.dependencies,
      largest_dependencies_mb: install.largest,
    },
    shares: [],
  };
}

async function measureModel(model: BenchModel, { threads, quick }: BenchOptions): Promise<Figures> {
  const data = await mkdtemp(join(tmpdir(), 'hone-bench-data-'));
  const figures = await measureStarts(model, data, quick).finally(() => rm(data, { recursive: true, force: true }));
  say(`${model.name}: training in its own process ...`);
  const training = await trainInChild({
    packageDirectory: model.directory,
    vocabularySize: model.vocabularySize,
    rank: 8,
    threads,
    rows: quick ? 2 : 8,
    promptLength: quick ? 8 : 64,
    completionLength: quick ? 8 : 64,
    groupSize: 2,
    steps: 2,
  });
  return {
    ...figures,
    training_peak_rss_mib: training.peakRssMb,
    training_private_rss_mib: training.privateRssMb,
  };
}

/** Measures several starts on one data directory, of which the first measures threads, and the last server's idle memory. */
async function measureStarts(model: BenchModel, data: string, quick: boolean): Promise<Figures> {
  say(`${model.name}: first start on a data directory ...`);
  const first = await startBenchServer(model.directory, [], data);
  await first.stop();
  const starts = quick ? 1 : warmStarts;
  const warm: BenchServer[] = [];
  let idle: ReturnType<typeof measureProcessTree>;
  for (let i = 1; i <= starts; i++) {
    say(`${model.name}: start ${i} of ${starts} on the same ...`);
    const server = await startBenchServer(model.directory, [], data);
    warm.push(server);
    if (i === starts) {
      // Measure when memory no longer changes, after the learner too has loaded the model.
      await delay(quick ? 200 : 10_000);
      idle = measureProcessTree(server.pid);
    }
    await server.stop();
  }
  const times = warm.map(({ startupMs }) => startupMs);
  const processorTimes = warm.flatMap(({ startupProcessorMs }) => startupProcessorMs ?? []);
  return {
    startup_ms: median(times),
    startup_fastest_ms: Math.min(...times),
    startup_slowest_ms: Math.max(...times),
    startup_processor_ms: processorTimes.length === 0 ? null : median(processorTimes),
    startup_first_ms: first.startupMs,
    load_average: loadavg()[0] ?? null,
    idle_processes: idle?.processes ?? null,
    idle_pss_mib: idle?.pssMb ?? null,
    idle_rss_mib: idle?.rssMb ?? null,
  };
}
