/** Finds logged completions on which a candidate can be estimated: scored, held out, sampled without truncation. */

import { setImmediate as breathe } from 'node:timers/promises';
import { z } from 'zod';
import type { Package } from '../package/index.js';
import { type Generation, isHeldOut, type ReplayReader, type ReplayStore, type Score } from '../replay/index.js';
import { foldReward } from '../reward/fold.js';
import type { RewardSettings } from '../reward/index.js';

/** A logged completion with its reward. */
export interface LoggedCompletion {
  readonly generation: Generation;
  /** 0 to 1. */
  readonly reward: number;
  /** ln mu of the completion, mu being the version that wrote it, in nats. */
  readonly logprob: number;
}

export interface LoggedOptions {
  readonly replay: Pick<ReplayStore, 'readGenerations' | 'readScores'>;
  /** Its reads block the caller, so each is short. */
  readonly reader: Pick<ReplayReader, 'readSince' | 'lastSequence'>;
  readonly pkg: Package;
  readonly holdoutShare: number;
  readonly rewards: RewardSettings;
  readonly nowMs: number;
  /** Largest number of completions. */
  readonly count: number;
  readonly signal: AbortSignal;
}

/** Only the newest changes are searched, in reads of about a millisecond. */
const maxChanges = 32_768;
const changesPerRead = 512;
const generationsPerRead = 128;

/** Returns the newest such completions, at most `count`. If aborted, it returns those that it has found. */
export async function findLogged(options: LoggedOptions): Promise<LoggedCompletion[]> {
  const { replay, pkg, holdoutShare, count, signal } = options;
  if (holdoutShare <= 0) return [];
  const found: LoggedCompletion[] = [];
  const ids = await newestScored(options);
  for (let from = 0; from < ids.length && found.length < count && !signal.aborted; from += generationsPerRead) {
    const generations = (await replay.readGenerations(ids.slice(from, from + generationsPerRead))).filter(
      (generation) =>
        generation.packageDigest === pkg.digest &&
        isHeldOut(generation.groupKey, holdoutShare) &&
        wasSampledPlainly(generation),
    );
    const scores = await replay.readScores(generations.map(({ id }) => id));
    for (const generation of generations) {
      const reward = rewardOf(generation, scores, options);
      if (reward === null || found.length >= count) continue;
      found.push({ generation, reward, logprob: generation.logprobs.reduce((sum, value) => sum + value, 0) });
    }
  }
  return found;
}

/** Returns the ids of scored generations, the last scored first, each once. */
async function newestScored({ reader, signal }: LoggedOptions): Promise<string[]> {
  const last = reader.lastSequence();
  const ids = new Set<string>();
  for (let sequence = Math.max(0, last - maxChanges); sequence < last && !signal.aborted; ) {
    const changes = reader.readSince(sequence, changesPerRead);
    if (changes.length === 0) break;
    for (const change of changes) {
      sequence = change.sequence;
      if (change.type !== 'score') continue;
      // An id that is set again moves to the end, because the order is that of the last score.
      ids.delete(change.generationId);
      ids.add(change.generationId);
    }
    await breathe();
  }
  return [...ids].reverse();
}

const untruncated = z.object({
  temperature: z.literal(1),
  topP: z.literal(1),
  topK: z.literal(0),
  minP: z.literal(0),
  ignoreEos: z.literal(false),
  presencePenalty: z.literal(0),
  frequencyPenalty: z.literal(0),
  repetitionPenalty: z.literal(1),
  logitBias: z.strictObject({}),
});

/** Whether the log-probabilities of a completion belong to the distribution from which it was drawn. */
function wasSampledPlainly(generation: Generation): boolean {
  const { state, origin, tokens, logprobs, samplingJson } = generation;
  if (state !== 'finished' || origin === 'edit' || tokens.length === 0 || logprobs.length !== tokens.length)
    return false;
  try {
    return untruncated.safeParse(JSON.parse(samplingJson)).success;
  } catch {
    return false;
  }
}

function rewardOf(
  { id, finishedAtMs, origin }: Generation,
  scores: readonly Score[],
  { rewards, nowMs }: LoggedOptions,
): number | null {
  const own = scores.filter(({ generationId }) => generationId === id);
  return foldReward(own, { finishedAtMs, nowMs, shown: origin === 'sampled' }, rewards).reward;
}
