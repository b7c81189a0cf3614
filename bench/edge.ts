/** What a small machine has to spare: disk for the installation, time to start, memory while idle and while training. */

import { setTimeout as delay } from 'node:timers/promises';
import { measureInstallSize } from './lib/install-size.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { measureProcessTree } from './lib/process-memory.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { startBenchServer } from './lib/running-server.js';
import { median } from './lib/statistics.js';
import { trainInChild } from './lib/train-in-child.js';

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
  const starts = quick ? 1 : 3;
  const startups: number[] = [];
  let idle: ReturnType<typeof measureProcessTree>;
  for (let i = 0; i < starts; i++) {
    say(`${model.name}: start ${i + 1} of ${starts} ...`);
    const server = await startBenchServer(model.directory);
    startups.push(server.startupMs);
    if (i === starts - 1) {
      // Idle is what it settles at, once the learner too has loaded the model.
      await delay(quick ? 200 : 10_000);
      idle = measureProcessTree(server.pid);
    }
    await server.stop();
  }
  say(`${model.name}: training in a process of its own ...`);
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
    startup_ms: median(startups),
    idle_processes: idle?.processes ?? null,
    idle_largest_rss_mb: idle?.largestRssMb ?? null,
    idle_pss_mb: idle?.pssMb ?? null,
    training_peak_rss_mb: training.peakRssMb,
    training_private_rss_mb: training.privateRssMb,
  };
}
