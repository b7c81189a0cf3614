/** Plays an app: asks, and scores what comes back. */

import { execFileSync } from 'node:child_process';
import type { HoneClient, Version } from '../../client/index.js';

/** A learner that makes a version of every few scores. */
export const eagerLearner = ['--learner', 'on', '--scores-per-round', '16'];

/** Some reward that a random model can be moved by: the share of letters in the first half of the alphabet. */
export function judge(text: string): number {
  return (text.match(/[a-m]/gi)?.length ?? 0) / Math.max(1, text.length);
}

/** Asks for `n` candidates of one prompt and scores them all; resolves once the scores are acknowledged. */
export async function askAndScore(client: HoneClient, prompt: string, n = 4): Promise<readonly string[]> {
  const { candidates } = await client.generate({ prompt, n, maxTokens: 16 });
  await client.feedback(candidates.map(({ generationId, text }) => ({ generationId, score: judge(text) })));
  return candidates.map(({ generationId }) => generationId);
}

/** Asks and scores until the live version is at least `number`. */
export async function playUntil(client: HoneClient, number: number): Promise<Version> {
  for (let round = 0; ; round++) {
    const { live } = await client.status();
    if (live.number >= number) return live;
    await askAndScore(client, `prompt ${number} ${round}`);
  }
}

/** Process ids of a process's children. */
export function childrenOf(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [child, parent, state, ...args] = line.trim().split(/\s+/);
    const counts = Number(parent) === pid && !state?.startsWith('Z') && args[0] !== 'ps';
    return counts ? [Number(child)] : [];
  });
}
