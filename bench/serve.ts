/**
 * Measures the cost of gRPC: eight greedy streams from a client process to `hone serve`, compared with the same eight
 * requests on the policy alone, with the same threads and without adapters. It also measures how long a health check
 * takes while eight streams decode, compared with an idle server. In both pairs the two take turns, and medians count.
 */

import { loadTokenizer } from '../src/package/index.js';
import { type ClientProcess, startClientProcess, type TextRequest } from './lib/client-process.js';
import { agreement, type Engine, type EngineRow, overallRate } from './lib/engine.js';
import type { BenchModel } from './lib/models.js';
import type { BenchOptions } from './lib/options.js';
import { openOwnEngine } from './lib/policy.js';
import { say } from './lib/progress.js';
import { promptTokens } from './lib/prompts.js';
import type { BenchReport, Figures } from './lib/report.js';
import { Resources } from './lib/resources.js';
import { type BenchServer, startBenchServer } from './lib/running-server.js';
import { median, percentile, significant, spread } from './lib/statistics.js';

const streams = 8;

interface Sizes {
  readonly promptLength: number;
  readonly maxTokens: number;
  readonly rounds: number;
  /** Throughput is measured in further rounds until this time has passed, because rounds of a small model are short. */
  readonly leastMs: number;
  /** Number of health checks in a round, for the idle and for the busy server. */
  readonly calls: number;
}

const fullSizes: Sizes = { promptLength: 32, maxTokens: 96, rounds: 4, leastMs: 10_000, calls: 400 };
const quickSizes: Sizes = { promptLength: 8, maxTokens: 16, rounds: 1, leastMs: 0, calls: 20 };

export async function benchServe(models: readonly BenchModel[], options: BenchOptions): Promise<BenchReport> {
  const sizes = options.quick ? quickSizes : fullSizes;
  const figures: Record<string, Figures> = {};
  for (const model of models) figures[model.name] = await measureModel(model, options, sizes);
  return {
    title: `serve, ${streams} greedy streams of ${sizes.maxTokens} tokens, without adapters, learner off`,
    limits: {},
    models: figures,
    general: { streams, unary_call: 'grpc.health.v1.Health/Check', unary_calls: sizes.rounds * sizes.calls },
    shares: [],
    problems: Object.entries(figures).flatMap(([model, { grpc_tokens_equal }]) =>
      typeof grpc_tokens_equal === 'number' && grpc_tokens_equal < 0.5
        ? [
            `${model}: the tokens of the server differ from those of the policy alone (share that agrees: ${significant(grpc_tokens_equal)})`,
          ]
        : [],
    ),
  };
}

async function measureModel(model: BenchModel, options: BenchOptions, sizes: Sizes): Promise<Figures> {
  // Without --threads, the server chooses its threads, and the policy alone runs with the same number.
  const flags = options.fixedThreads ? ['--threads', String(options.threads)] : [];
  await using resources = new Resources();
  const server = await startBenchServer(model.directory, ['--learner', 'off', ...flags]);
  resources.add(() => server.stop());
  const engine = await openOwnEngine(model.directory, { ...settingsOf(server), adapters: false });
  resources.add(() => engine.close());
  const streaming = await startClientProcess(server.address);
  resources.add(() => streaming.close());
  const probing = await startClientProcess(server.address);
  resources.add(() => probing.close());
  const requestsOf = await requestMaker(model, sizes);
  const throughput = await measureThroughput(model, { engine, streaming }, requestsOf, sizes);
  const latency = await measureUnary(model, { streaming, probing }, requestsOf, sizes);
  return { ...throughput, ...latency, threads: server.threads, spin: String(server.spin) };
}

const settingsOf = ({ threads, spin }: BenchServer): { threads: number; spin: boolean } => ({ threads, spin });

type RequestMaker = (seed: number) => { readonly texts: TextRequest[]; readonly tokens: readonly number[][] };

/** Makes eight requests whose prompts share no prefix with earlier ones: texts for the server, tokens for the policy. */
async function requestMaker(model: BenchModel, { promptLength, maxTokens }: Sizes): Promise<RequestMaker> {
  const tokenizer = await loadTokenizer(model.directory);
  return (seed) => {
    const prompts = Array.from({ length: streams }, (_, i) =>
      tokenizer.decode(promptTokens(tokenizer, seed * streams + i, promptLength)),
    );
    return {
      texts: prompts.map((prompt) => ({ prompt, maxTokens, startAtMs: 0 })),
      tokens: prompts.map((prompt) => tokenizer.encodeText(prompt)),
    };
  };
}

async function measureThroughput(
  model: BenchModel,
  { engine, streaming }: { readonly engine: Engine; readonly streaming: ClientProcess },
  requestsOf: RequestMaker,
  { rounds, leastMs }: Sizes,
): Promise<Figures> {
  const own: (readonly EngineRow[])[] = [];
  const door: (readonly EngineRow[])[] = [];
  const began = performance.now();
  // The first round is a warm-up and does not count.
  for (let round = 0; round <= rounds || performance.now() - began < leastMs; round++) {
    const { texts, tokens } = requestsOf(round);
    const maxTokens = texts[0]?.maxTokens ?? 0;
    const alone = await engine.run(tokens.map((prompt) => ({ promptTokens: prompt, maxTokens, startAtMs: 0 })));
    const served = await streaming.run(texts);
    if (round === 0) continue;
    own.push(alone);
    door.push(served);
  }
  const [ownRates, doorRates] = [own.map(overallRate), door.map(overallRate)];
  say(`${model.name} tokens/s: policy alone ${show(ownRates)}; over gRPC ${show(doorRates)}`);
  const same = own.map((rows, i) => agreement(rows, door[i] ?? []));
  return {
    grpc_share: median(doorRates.map((rate, round) => rate / (ownRates[round] as number))),
    // This keeps its place beside the other ratio; the value is measured below.
    unary_p99_ratio: null,
    engine_tokens_per_s: median(ownRates),
    grpc_tokens_per_s: median(doorRates),
    engine_spread: spread(ownRates),
    grpc_spread: spread(doorRates),
    grpc_tokens_equal: sum(same.map(({ agreed }) => agreed)) / sum(same.map(({ compared }) => compared)),
  };
}

async function measureUnary(
  model: BenchModel,
  { streaming, probing }: { readonly streaming: ClientProcess; readonly probing: ClientProcess },
  requestsOf: RequestMaker,
  { rounds, calls }: Sizes,
): Promise<Figures> {
  const idle: (readonly number[])[] = [];
  const busy: (readonly number[])[] = [];
  await probing.probe(calls);
  for (let round = 0; round < rounds; round++) {
    idle.push(await probing.probe(calls));
    await streaming.hold(requestsOf(1000 + round).texts);
    busy.push(await probing.probe(calls));
    await streaming.release();
  }
  const at = (share: number, times: readonly (readonly number[])[]): number[] =>
    times.map((round) => percentile(round, share));
  const [idleP99, busyP99] = [at(0.99, idle), at(0.99, busy)];
  say(
    `${model.name} p99 of a health check, ms: idle ${show(idleP99)}; while ${streams} streams decode ${show(busyP99)}`,
  );
  return {
    unary_p99_ratio: median(busyP99) / median(idleP99),
    unary_idle_p50_ms: median(at(0.5, idle)),
    unary_idle_p99_ms: median(idleP99),
    unary_busy_p50_ms: median(at(0.5, busy)),
    unary_busy_p99_ms: median(busyP99),
    unary_idle_p99_spread: spread(idleP99),
    unary_busy_p99_spread: spread(busyP99),
  };
}

const show = (values: readonly number[]): string => values.map((value) => significant(value, 3)).join(' ');
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
