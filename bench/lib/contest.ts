/**
 * Lets engines do the same tasks by turns, in many rounds, so that other programs on the machine slow down all of them
 * alike. One engine computes at a time; the others are idle.
 */

import type { PackageTokenizer } from '../../src/package/index.js';
import { decodedJointly, type Engine, type EngineRequest, type EngineRow, jointRate, overallRate } from './engine.js';
import { say } from './progress.js';
import { promptTokens } from './prompts.js';
import { significant } from './statistics.js';

/** One task: a number of requests, all at once or spread over a time. */
export interface ContestTask {
  /** The end of the names of its figures, such as `b8_ctx512`. */
  readonly key: string;
  readonly requests: number;
  readonly promptLength: number;
  readonly maxTokens: number;
  /** Milliseconds over which the requests arrive evenly; 0 if they arrive at once. */
  readonly overMs: number;
}

export interface Contestant {
  readonly name: string;
  readonly engine: Engine;
  /** Keys of the tasks in which it takes part; undefined for all. */
  readonly tasks: readonly string[] | undefined;
}

interface RoundLimits {
  readonly leastRounds: number;
  readonly mostRounds: number;
  /** After the least rounds, no round begins when a task has taken this long. */
  readonly taskMs: number;
}

/** The rows of each round, by contestant and task. */
export type Samples = ReadonlyMap<string, ReadonlyMap<string, readonly (readonly EngineRow[])[]>>;

export async function runContest(
  label: string,
  contestants: readonly Contestant[],
  tasks: readonly ContestTask[],
  tokenizer: PackageTokenizer,
  limits: RoundLimits,
): Promise<Samples> {
  const samples = new Map(contestants.map(({ name }) => [name, new Map<string, (readonly EngineRow[])[]>()]));
  let seed = 1;
  const requestsOf = ({ requests, promptLength, maxTokens, overMs }: ContestTask) =>
    Array.from({ length: requests }, (_, i) => ({
      promptTokens: promptTokens(tokenizer, seed++, promptLength),
      maxTokens,
      startAtMs: (i * overMs) / requests,
    }));
  for (const task of tasks) {
    const present = contestants.filter(({ tasks: own }) => own === undefined || own.includes(task.key));
    for (const { engine } of present)
      await engine.run(requestsOf({ ...task, promptLength: 8, maxTokens: 4, overMs: 0 }));
    const began = performance.now();
    for (let round = 0; round < limits.mostRounds; round++) {
      if (round >= limits.leastRounds && performance.now() - began > limits.taskMs) break;
      // All engines get the same requests, because their tokens are compared.
      const requests = requestsOf(task);
      for (const { name, engine } of present) {
        const byTask = samples.get(name) as Map<string, (readonly EngineRow[])[]>;
        const rows = await (task.overMs > 0 ? engine.run(requests) : runJointly(engine, requests));
        byTask.set(task.key, [...(byTask.get(task.key) ?? []), rows]);
      }
    }
    const rates = present.map(({ name }) => {
      const runs = samples.get(name)?.get(task.key) ?? [];
      return `${name} ${runs.map((rows) => significant((task.overMs > 0 ? overallRate : jointRate)(rows), 3)).join(' ')}`;
    });
    say(`${label} ${task.key}, tokens/s: ${rates.join('; ')}`);
  }
  return samples;
}

const mostAttempts = 20;

/** Runs requests that start at once. Repeats them if, on a busy machine, they never all decoded at the same time. */
async function runJointly(engine: Engine, requests: readonly EngineRequest[]): Promise<readonly EngineRow[]> {
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const rows = await engine.run(requests);
    if (decodedJointly(rows)) return rows;
  }
  throw new Error(
    `${requests.length} completions never decoded at the same time, in ${mostAttempts} attempts: the machine is too busy`,
  );
}

/** After three runs of a setting, no run begins when it has been tried for this long. */
const choiceMs = 1500;

/** Opens an engine with each of several settings, and keeps the one that decodes a single request fastest. */
export async function openFastest<Settings>(
  settings: readonly Settings[],
  open: (settings: Settings) => Promise<Engine>,
  tokenizer: PackageTokenizer,
): Promise<{ readonly engine: Engine; readonly settings: Settings }> {
  let best: { engine: Engine; settings: Settings; rate: number } | undefined;
  for (const candidate of settings) {
    let engine: Engine | undefined;
    try {
      engine = await open(candidate);
      const rate = settings.length === 1 ? 0 : await singleRate(engine, tokenizer);
      if (best !== undefined && rate <= best.rate) {
        await engine.close();
        continue;
      }
      await best?.engine.close();
      best = { engine, settings: candidate, rate };
    } catch (error) {
      await engine?.close();
      await best?.engine.close();
      throw error;
    }
  }
  if (best === undefined) throw new Error('the list of settings is empty');
  return best;
}

/** Returns the best rate of several runs of one request. */
async function singleRate(engine: Engine, tokenizer: PackageTokenizer): Promise<number> {
  const requests = [{ promptTokens: promptTokens(tokenizer, 0, 64), maxTokens: 24, startAtMs: 0 }];
  const began = performance.now();
  let rate = 0;
  for (let i = 0; i < 3 || (i < 20 && performance.now() - began < choiceMs); i++) {
    rate = Math.max(rate, jointRate(await runJointly(engine, requests)));
  }
  return rate;
}
