/**
 * Tokens per second of a training step (CoPG, LoRA on every linear layer, AdamW) of 8 sequences of 128 tokens, as a
 * share of the machine's GEMM rate measured before and after in the same run.
 */

import { trainingFlops } from './lib/flops.js';
import { measureGemmRate } from './lib/limits.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';
import { trainInChild } from './lib/train-in-child.js';
import type { TrainingTask } from './lib/training-child.js';

const rank = 8;

export async function benchLearn(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const { threads, quick } = options;
  const shapes = quick ? ([[256, 256, 256]] as const) : undefined;
  const size = quick ? { rows: 2, length: 16, steps: 2 } : { rows: 8, length: 128, steps: 5 };
  say(`GEMM rate on ${threads} threads ...`);
  let gemm = await measureGemmRate(threads, shapes);
  const times = new Map<BenchModel, { alone: number; figures: Figures }>();
  for (const model of models) {
    const task: TrainingTask = {
      packageDirectory: model.directory,
      vocabularySize: model.vocabularySize,
      rank,
      threads,
      rows: size.rows,
      promptLength: size.length / 2,
      completionLength: size.length / 2,
      groupSize: 1,
      steps: size.steps,
    };
    say(`${model.name}: ${size.steps} steps of ${size.rows} x ${size.length} tokens ...`);
    const alone = await trainInChild(task);
    say(`${model.name}: the same with completions that share a prompt ...`);
    const grouped = await trainInChild({ ...task, groupSize: Math.min(4, size.rows) });
    const tokens = size.rows * size.length;
    times.set(model, {
      alone: alone.stepMs / 1000,
      figures: {
        step_ms: alone.stepMs,
        tokens_per_s: (1000 * tokens) / alone.stepMs,
        grouped_tokens_per_s: (1000 * tokens) / grouped.stepMs,
        prepare_ms: alone.prepareMs,
        peak_rss_mb: alone.peakRssMb,
        private_rss_mb: alone.privateRssMb,
      },
    });
    const again = await measureGemmRate(threads, shapes);
    if (again.flopsPerSecond > gemm.flopsPerSecond) gemm = again;
  }
  const step = { sequences: size.rows, length: size.length, targets: (size.rows * size.length) / 2, rank };
  return {
    title: `training step, ${size.rows} x ${size.length} tokens, LoRA r=${rank}, ${threads} threads`,
    limits: { gemm_gflops: gemm.flopsPerSecond / 1e9, gemm_shape: gemm.shape, threads },
    models: Object.fromEntries(
      [...times].map(([model, { alone, figures }]) => [
        model.name,
        { ...figures, gemm_share: trainingFlops(model, step) / alone / gemm.flopsPerSecond },
      ]),
    ),
    shares: ['gemm_share'],
  };
}
