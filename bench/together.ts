/**
 * Measures how much learning slows down serving: one stream and eight streams of one server, by turns while its learner
 * trains and while it is paused. The training round lasts longer than the bench and hardly moves the weights, so no
 * version is judged or swapped during the measurement.
 */

import { connect, type HoneClient } from '../client/index.js';
import { loadTokenizer } from '../src/package/index.js';
import { type ClientProcess, startClientProcess, type TextRequest } from './lib/client-process.js';
import { type EngineRow, overallRate } from './lib/engine.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { measureProcessTree, type ProcessMemory } from './lib/process-memory.js';
import { say } from './lib/progress.js';
import { promptTokens } from './lib/prompts.js';
import type { BenchReport, Figures } from './lib/report.js';
import { Resources } from './lib/resources.js';
import { startBenchServer } from './lib/running-server.js';
import { median, percentile, significant } from './lib/statistics.js';

const streamCounts = [1, 8] as const;

interface Sizes {
  readonly promptLength: number;
  readonly maxTokens: number;
  readonly rounds: number;
  /** Least duration of each part of a round. */
  readonly leastMs: number;
}

const fullSizes: Sizes = { promptLength: 32, maxTokens: 96, rounds: 8, leastMs: 3000 };
const quickSizes: Sizes = { promptLength: 8, maxTokens: 16, rounds: 1, leastMs: 0 };

/** Most runs of a part: far more than fit its time. */
const mostRuns = 1000;

/** Number of prompts with four scored completions each, which make a usual batch of the learner. */
const scoredPrompts = 16;

export async function benchTogether(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const sizes = options.quick ? quickSizes : fullSizes;
  const figures: Record<string, Figures> = {};
  for (const model of models) figures[model.name] = await measureModel(model, options, sizes);
  return {
    title: `together: greedy streams of ${sizes.maxTokens} tokens while the learner trains, compared with a paused learner`,
    limits: {},
    models: figures,
    shares: [],
    // The learner has the lowest priority. Beside other programs it gets no processor time and cannot slow down serving.
    problems: Object.entries(figures).flatMap(([model, { learner_steps }]) =>
      learner_steps === 0 && !options.quick
        ? [`${model}: the learner made no step because the machine is busy, so the figures are meaningless`]
        : [],
    ),
  };
}

/** Makes the prompt of a seed. Prompts of different seeds share no prefix. */
type PromptOf = (seed: number) => string;

/** The rows of each run of one part. */
type Part = readonly (readonly EngineRow[])[];

async function measureModel(model: BenchModel, options: BenchOptions, sizes: Sizes): Promise<Figures> {
  await using resources = new Resources();
  const learner = {
    learningRate: 1e-9,
    holdoutShare: 0,
    scoresPerRound: scoredPrompts * 4,
    groupsPerStep: 2,
    replayRatio: 1_000_000,
    // The gate is off, because its verdict on weights that hardly move has no meaning here.
    guardMaxKl: 1e9,
  };
  const threads = options.fixedThreads ? ['--threads', String(options.threads)] : [];
  const flags = ['--learner', 'on', '--learner-settings', JSON.stringify(learner), ...threads];
  const server = await startBenchServer(model.directory, flags);
  resources.add(() => server.stop());
  const client = await connect({ address: server.address });
  resources.add(async () => client.close());
  const streaming = await startClientProcess(server.address);
  resources.add(() => streaming.close());
  const tokenizer = await loadTokenizer(model.directory);
  const promptOf: PromptOf = (seed) => tokenizer.decode(promptTokens(tokenizer, seed, sizes.promptLength));
  await giveLessons(client, promptOf, Math.min(48, sizes.maxTokens));
  const alone: Record<number, Part[]> = { 1: [], 8: [] };
  const beside: Record<number, Part[]> = { 1: [], 8: [] };
  const steps: number[] = [];
  let memory: ProcessMemory | undefined;
  // The first round is a warm-up and does not count. The two parts take turns to begin, because the second finds a warmer machine.
  for (let round = 0; round <= sizes.rounds; round++) {
    const parts = new Map<boolean, Part[]>();
    for (const learning of round % 2 === 0 ? [false, true] : [true, false]) {
      await (learning ? client.resumeLearner() : client.pauseLearner());
      if (learning) await untilTraining(client);
      const before = (await client.learnerStatus()).steps;
      const measured: Part[] = [];
      for (const streams of streamCounts) measured.push(await measure(streaming, streams, round, sizes, promptOf));
      parts.set(learning, measured);
      if (!learning || round === 0) continue;
      steps.push((await client.learnerStatus()).steps - before);
      memory = measureProcessTree(server.pid);
    }
    if (round === 0) continue;
    for (const [i, streams] of streamCounts.entries()) {
      alone[streams]?.push(parts.get(false)?.[i] as Part);
      beside[streams]?.push(parts.get(true)?.[i] as Part);
    }
    say(`${model.name} round ${round} of ${sizes.rounds}: the learner took ${steps.at(-1)} steps beside the streams`);
  }
  const [one, eight] = [compare(alone[1] ?? [], beside[1] ?? []), compare(alone[8] ?? [], beside[8] ?? [])];
  const shown = { tokens_share: eight.tokens_share, itl_p99_ratio: eight.itl_p99_ratio };
  return {
    ...shown,
    ...Object.fromEntries(Object.entries(one).map(([name, value]) => [`${name}_1_stream`, value])),
    ...Object.fromEntries(Object.entries(eight).map(([name, value]) => [`${name}_8_streams`, value])),
    learner_steps: Math.min(...steps),
    training_rss_mb: memory?.rssMb ?? null,
    training_pss_mb: memory?.pssMb ?? null,
    threads: server.threads,
    spin: String(server.spin),
  };
}

async function giveLessons(client: HoneClient, promptOf: PromptOf, maxTokens: number): Promise<void> {
  await Promise.all(
    Array.from({ length: scoredPrompts }, async (_, i) => {
      const { completions } = await client.generate(
        { prompt: promptOf(500_000 + i), n: 4, maxTokens },
        { timeoutMs: 300_000 },
      );
      await client.feedback(completions.map(({ generationId }, k) => ({ generationId, score: k / 3 })));
    }),
  );
  await untilTraining(client);
}

async function untilTraining(client: HoneClient): Promise<void> {
  for await (const _ of client.watchEvents({})) if ((await client.learnerStatus()).state === 'training') return;
}

async function measure(
  streaming: ClientProcess,
  streams: number,
  round: number,
  { maxTokens, leastMs }: Sizes,
  promptOf: PromptOf,
): Promise<Part> {
  const part: (readonly EngineRow[])[] = [];
  const began = performance.now();
  // The first run is a warm-up and does not count. Prompts differ between rounds, and are the same in both parts.
  // On a busy machine several tokens may come in one message; a part needs at least one gap between two messages.
  const wanted = (): boolean => performance.now() - began < leastMs || part.flat().flatMap(gaps).length === 0;
  for (let run = 0; run <= 1 || wanted(); run++) {
    if (run > mostRuns)
      throw new Error(`in ${mostRuns} runs, all ${streams} streams came in one message each: the machine is too busy`);
    const texts: TextRequest[] = Array.from({ length: streams }, (_, i) => ({
      prompt: promptOf(1 + i + streams * (run + 1000 * round)),
      maxTokens,
      startAtMs: 0,
    }));
    const rows = await streaming.run(texts);
    if (run > 0) part.push(rows);
  }
  return part;
}

function compare(alone: readonly Part[], beside: readonly Part[]) {
  const rates = (parts: readonly Part[]): number[] => parts.map((part) => median(part.map(overallRate)));
  const p99 = (parts: readonly Part[]): number[] => parts.map((part) => percentile(part.flat().flatMap(gaps), 0.99));
  const [ratesAlone, ratesBeside, p99Alone, p99Beside] = [rates(alone), rates(beside), p99(alone), p99(beside)];
  const ratio = (a: readonly number[], b: readonly number[]): number =>
    median(a.map((value, i) => value / (b[i] as number)));
  say(`tokens/s alone ${show(ratesAlone)}, beside ${show(ratesBeside)}; p99 ms ${show(p99Alone)}, ${show(p99Beside)}`);
  return {
    tokens_share: ratio(ratesBeside, ratesAlone),
    itl_p99_ratio: ratio(p99Beside, p99Alone),
    tokens_per_s_alone: median(ratesAlone),
    tokens_per_s_beside: median(ratesBeside),
    itl_p99_ms_alone: median(p99Alone),
    itl_p99_ms_beside: median(p99Beside),
  };
}

/** Returns the times between two messages with tokens. Tokens of one message count as one. */
function gaps({ atMs }: EngineRow): number[] {
  const times = [...new Set(atMs)];
  return times.slice(1).map((at, i) => at - (times[i] as number));
}

const show = (values: readonly number[]): string => values.map((value) => significant(value, 3)).join(' ');
