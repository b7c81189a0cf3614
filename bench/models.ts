/**
 * Serves every package of a kit of models and learns on it, and compares what it answers with the file's own reference.
 *
 * A token counts as equal if it is the reference's, or if the two likeliest are nearer than the file's own arithmetic:
 * then a sum in another order exchanges them. A package that serves and differs is `silent`: it should have been refused.
 */

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild } from './lib/child-process.js';
import { type KitFolder, listKit } from './lib/kit.js';
import type { LearnReply, ServeReply } from './lib/kit-messages.js';
import { say } from './lib/progress.js';
import type { BenchReport, Figures } from './lib/report.js';

export interface ModelsOptions {
  /** The folder of the kit. */
  readonly kit: string;
  /** Parts of names: folders whose name contains one of them; undefined: all. */
  readonly only: readonly string[] | undefined;
  /** Whether to learn on what serves. */
  readonly learn: boolean;
}

const maxSteps = 8;

/** `unjudged`: serves, and nothing is known that it could be compared with. */
type Outcome = 'equal' | 'silent' | 'unjudged' | 'refused';

interface Result {
  readonly folder: KitFolder;
  readonly outcome: Outcome;
  readonly reply?: ServeReply;
  /** Largest difference of a log-probability, nats. */
  readonly difference?: number;
  readonly steps?: number;
  /** Why it was refused, or why it did not learn. */
  readonly reason?: string;
}

/**
 * The difference of a log-probability that the arithmetic of a file may make, in nats: by its form, and as measured on the
 * file itself. Two tokens that are nearer to each other count as the same likeliest one.
 */
function tolerance(folder: KitFolder, { arithmetic }: ServeReply): number {
  return Math.max(usualTolerance(folder), arithmetic);
}

function usualTolerance({ name, isQuantized }: KitFolder): number {
  // One scale for a whole matrix of activations: a row depends on its neighbours, so that the file differs from itself by
  // this much when its prompt is cut in another place.
  if (name.endsWith('quantized')) return 0.8;
  // Activations that are rounded to 8 bits, in a way that only 16-bit kernels have. The exact product differs by this much
  // from onnxruntime's own answer to the same file.
  if (name.endsWith('webgpu-q4f16')) return 0.3;
  if (isQuantized || name.includes('16')) return 0.05;
  return 2e-3;
}

/** @throws Error if the kit does not exist */
export async function benchModels({ kit, only, learn }: ModelsOptions): Promise<BenchReport> {
  if (!existsSync(kit)) throw new Error(`${kit} does not exist; --kit names the folder of a kit (<family>/<form>/)`);
  const folders = (await listKit(kit)).filter(({ name }) => only?.some((part) => name.includes(part)) ?? true);
  const cacheDirectory = await mkdtemp(join(tmpdir(), 'hone-bench-cache-'));
  const results: Result[] = [];
  try {
    for (const [i, folder] of folders.entries()) {
      const result = await measure(folder, cacheDirectory, learn);
      results.push(result);
      say(`${i + 1}/${folders.length} ${folder.name}: ${describe(result)}`);
    }
  } finally {
    await rm(cacheDirectory, { recursive: true, force: true });
  }
  return report(results, learn);
}

function describe({ outcome, difference, steps, reason }: Result): string {
  const figures = difference === undefined ? '' : `, ${difference.toPrecision(2)} nats apart`;
  const learned = steps === undefined ? '' : `, live after ${steps} steps`;
  return `${outcome}${figures}${learned}${reason === undefined ? '' : `: ${reason}`}`;
}

async function measure(folder: KitFolder, cacheDirectory: string, learn: boolean): Promise<Result> {
  const child = startChild(fileURLToPath(new URL('./lib/kit-child.js', import.meta.url)));
  const prompt = folder.prompt ?? [1, 2, 3];
  try {
    const expected = folder.expected?.tokens ?? [4, 5, 6];
    const reply = await child.ask<ServeReply>({
      type: 'serve',
      directory: folder.directory,
      cacheDirectory,
      prompt,
      expected,
    });
    const judged = judge(folder, reply);
    if (!learn) return judged;
    try {
      const { steps } = await child.ask<LearnReply>({ type: 'learn', prompt, maxSteps });
      return { ...judged, steps };
    } catch (error) {
      return { ...judged, reason: (error as Error).message };
    }
  } catch (error) {
    return { folder, outcome: 'refused', reason: (error as Error).message };
  } finally {
    await child.close();
  }
}

function judge(folder: KitFolder, reply: ServeReply): Result {
  const { expected, isQuantized, isRunnable } = folder;
  // The checkpoint is no judge of the file's quantised weights.
  if (expected === null || (isQuantized && !isRunnable)) return { folder, outcome: 'unjudged', reply };
  const most = tolerance(folder, reply);
  const differences = expected.logprobs.map((value, i) => Math.abs(value - (reply.logprobs[i] ?? Number.NaN)));
  const difference = Math.max(...differences);
  const equal = expected.tokens.every((token, i) => {
    const likeliest = reply.likeliest[i];
    return likeliest?.token === token || (likeliest?.logprob ?? Number.NaN) - (reply.logprobs[i] ?? 0) <= most;
  });
  return { folder, outcome: equal && difference <= most ? 'equal' : 'silent', reply, difference };
}

function report(results: readonly Result[], learn: boolean): BenchReport {
  const runnable = results.filter(({ folder }) => folder.isRunnable);
  const share = (count: number): number => (runnable.length === 0 ? 0 : count / runnable.length);
  const count = (outcome: Outcome): number => results.filter((result) => result.outcome === outcome).length;
  const general: Figures = {
    folders: results.length,
    runnable: runnable.length,
    served_share: share(runnable.filter(({ outcome }) => outcome !== 'refused').length),
    equal_share: share(runnable.filter(({ outcome }) => outcome === 'equal').length),
    ...(learn ? { learned_share: share(runnable.filter(({ steps }) => steps !== undefined).length) } : {}),
    silent: count('silent'),
    unjudged: count('unjudged'),
    refused: count('refused'),
  };
  return {
    title: 'models: packages of a kit, compared with the reference of each',
    limits: {},
    models: Object.fromEntries(results.map((result) => [result.folder.name, figuresOf(result)])),
    general,
    shares: ['served_share', 'equal_share', 'learned_share'],
    problems: results
      .filter(({ outcome }) => outcome === 'silent')
      .map(({ folder, difference }) => `${folder.name} is served and ${difference} nats from its reference`),
  };
}

function figuresOf({ outcome, reply, difference, steps, reason, folder }: Result): Figures {
  const agreed = reply?.greedy.findIndex((token, i) => token !== folder.expected?.tokens[i]);
  return {
    outcome,
    greedy_equal: reply === undefined || agreed === undefined ? null : agreed === -1 ? reply.greedy.length : agreed,
    logprob_difference: difference ?? null,
    steps_until_live: steps ?? null,
    load_seconds: reply?.loadSeconds ?? null,
    reason: reason ?? null,
  };
}
