/**
 * Measures a training step (CoPG, LoRA on every linear layer, AdamW) of 8 sequences of 128 tokens: as a share of the
 * machine's GEMM rate, beside TF.js, and beside PyTorch with peft; its memory, and how well it keeps to a budget.
 *
 * Engines take turns, one step each. Ratios are those within a round, and the medians over rounds are reported.
 */

import { trainingFlops } from './lib/flops.js';
import { type LearnRound, runLearnContest } from './lib/learn-contest.js';
import { measureGemmRate } from './lib/limits.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { installPeers, peersFolder } from './lib/peer-process.js';
import { say } from './lib/progress.js';
import { installPyTorch, openPyTorch } from './lib/pytorch-peer.js';
import type { BenchReport, Figures } from './lib/report.js';
import { median } from './lib/statistics.js';
import { type Learner, openLearner, trainInChild } from './lib/train-in-child.js';
import type { TrainingTask } from './lib/training-batch.js';

const rank = 8;
const ours = 'hone';
/** Memory budget of the learner of the large model, in one measurement. */
const budgetBytes = 1.5 * 2 ** 30;

export async function benchLearn(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const { threads, quick } = options;
  const size = quick ? { rows: 2, length: 16, rounds: 1 } : { rows: 8, length: 128, rounds: 5 };
  const figures: Record<string, Figures> = {};
  const general: Record<string, number | null> = {};
  const problems: string[] = [];
  let gemm = { flopsPerSecond: 0, shape: '' };
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
      steps: size.rounds,
      device: options.device,
    };
    const contestants = await contestantsOf(model, task, options);
    const limit = () => measureGemmRate(threads, quick ? [[256, 256, 256]] : undefined);
    const names = [...contestants.keys()].join(', ');
    say(`GEMM rate on ${threads} threads and steps of ${model.name}, ${names}: ${size.rounds} rounds ...`);
    const contest = await runLearnContest(contestants, size.rounds, limit);
    problems.push(...contest.problems.map((sentence) => `${model.name}: ${sentence}`));
    for (const { gemm: measured } of contest.rounds) if (measured.flopsPerSecond > gemm.flopsPerSecond) gemm = measured;
    const step = { sequences: size.rows, length: size.length, targets: (size.rows * size.length) / 2, rank };
    const flops = trainingFlops(model, step);
    const share = median(
      contest.rounds.map(({ ms, gemm: { flopsPerSecond } }) => flops / ((ms.get(ours) ?? 0) / 1000) / flopsPerSecond),
    );
    say(`${model.name}: completions that share a prompt ...`);
    const grouped = await trainInChild({ ...task, groupSize: Math.min(4, size.rows) });
    const stepMs = median(contest.rounds.map(({ ms }) => ms.get(ours) ?? 0));
    const tokens = size.rows * size.length;
    const memory = contest.memory.get(ours);
    figures[model.name] = {
      step_ms: stepMs,
      tokens_per_s: (1000 * tokens) / stepMs,
      grouped_tokens_per_s: (1000 * tokens) / grouped.stepMs,
      prepare_ms: contest.prepareMs,
      gemm_share: share,
      peak_rss_mb: memory?.peakRssMb ?? null,
      private_rss_mb: memory?.privateRssMb ?? null,
      ...peerFigures(contest.rounds, tokens),
      ...(model.name === '135M' ? await budgetFigures(task) : {}),
    };
    if (model.name === '135M') {
      const peer = fastestPeer(contest.rounds, 'pytorch');
      const peerMemory = peer === undefined ? undefined : contest.memory.get(peer)?.peakRssMb;
      general.gemm_share_135m = share;
      general.vs_pytorch_135m = peer === undefined ? null : ratio(contest.rounds, peer);
      general.rss_vs_pytorch = peerMemory === undefined ? null : (memory?.peakRssMb ?? Number.NaN) / peerMemory;
      general.peak_rss_mb = memory?.peakRssMb ?? null;
    }
    if (model.name === 'tldr') {
      general.vs_tfjs_wasm_3m = contestants.has('tfjs_wasm') ? ratio(contest.rounds, 'tfjs_wasm') : null;
    }
  }
  return {
    title: `training step, ${size.rows} x ${size.length} tokens, LoRA r=${rank}, ${threads} threads`,
    limits: { gemm_gflops: gemm.flopsPerSecond / 1e9, gemm_shape: gemm.shape, threads },
    models: figures,
    general,
    shares: ['gemm_share'],
    problems,
  };
}

/** Opens the learners of a model. A peer that does not start is left out, with its reason. */
async function contestantsOf(
  model: BenchModel,
  task: TrainingTask,
  { peers, tfjsNode }: BenchOptions,
): Promise<Map<string, Learner>> {
  const contestants = new Map([[ours, await openLearner(task)]]);
  const join = async (name: string, open: () => Promise<Learner>): Promise<void> => {
    try {
      contestants.set(name, await open());
    } catch (error) {
      say(`${name} is left out: ${error instanceof Error ? error.message : error}`);
    }
  };
  if (peers && model.name === 'tldr') {
    if (await installPeers())
      await join('tfjs_wasm', () => openLearner({ ...task, tfjs: { backend: 'wasm', folder: peersFolder } }));
    if (tfjsNode !== undefined)
      await join('tfjs_node', () => openLearner({ ...task, tfjs: { backend: 'node', folder: tfjsNode } }));
  }
  if (peers && model.name === '135M' && (await installPyTorch())) {
    await join('pytorch', () => openPyTorch(task, false));
    await join('pytorch_compiled', () => openPyTorch(task, true));
  }
  return contestants;
}

/** The peer's time over Hone's. */
function ratio(rounds: readonly LearnRound[], peer: string): number {
  return median(rounds.map(({ ms }) => (ms.get(peer) ?? Number.NaN) / (ms.get(ours) ?? Number.NaN)));
}

/** The peer with the shortest median step among those whose names begin with `prefix`. */
function fastestPeer(rounds: readonly LearnRound[], prefix: string): string | undefined {
  const time = (peer: string): number => median(rounds.map(({ ms }) => ms.get(peer) ?? Number.POSITIVE_INFINITY));
  const peers = [...(rounds[0]?.ms.keys() ?? [])].filter((name) => name.startsWith(prefix));
  return peers.sort((a, b) => time(a) - time(b))[0];
}

function peerFigures(rounds: readonly LearnRound[], tokens: number): Figures {
  const peers = [...(rounds[0]?.ms.keys() ?? [])].filter((name) => name !== ours);
  return Object.fromEntries(
    peers.flatMap((peer) => [
      [`${peer}_tokens_per_s`, (1000 * tokens) / median(rounds.map(({ ms }) => ms.get(peer) ?? Number.NaN))],
      [`vs_${peer}`, ratio(rounds, peer)],
    ]),
  );
}

/** The same step under a memory budget. */
async function budgetFigures(task: TrainingTask): Promise<Figures> {
  say(`the learner within ${budgetBytes / 2 ** 20} MiB ...`);
  const { stepMs, pssMb } = await trainInChild({ ...task, steps: 2, memoryBytes: budgetBytes });
  return { budget_mb: budgetBytes / 2 ** 20, budget_pss_mb: pssMb, budget_step_ms: stepMs };
}
