/** Plays an app: asks, and scores what comes back. */

import type { HoneClient, Version } from '../../client/index.js';
import { until } from './until.js';

const scoresPerRound = 16;

/** A learner that makes a version of every few scores, and learns from all of them. */
export const eagerLearner = [
  '--learner',
  'on',
  '--learner-settings',
  JSON.stringify({ scoresPerRound, holdoutShare: 0 }),
];

/** Some reward that a random model can be moved by: the share of letters in the first half of the alphabet. */
export function judge(text: string): number {
  return (text.match(/[a-m]/gi)?.length ?? 0) / Math.max(1, text.length);
}

/** Asks for `n` completions of one prompt and scores them all; resolves once the scores are acknowledged. */
export async function askAndScore(client: HoneClient, prompt: string, n = 4): Promise<readonly string[]> {
  const { completions } = await client.generate({ prompt, n, maxTokens: 16 });
  await client.feedback(completions.map(({ generationId, text }) => ({ generationId, score: judge(text) })));
  return completions.map(({ generationId }) => generationId);
}

/** As many scores as begin a round of an eager learner. */
export async function scoreForARound(client: HoneClient, prompt: string): Promise<void> {
  for (let part = 0; part < scoresPerRound / 4; part++) await askAndScore(client, `${prompt}, part ${part}`);
}

/**
 * Scores for a round and lets it come to its end, and what it made to its own. Nothing is asked meanwhile: the learner
 * gets what is left of the machine, and on a busy one that would be nothing.
 */
export async function playRound(client: HoneClient, prompt: string): Promise<void> {
  const [before, newest] = [await client.learnerStatus(), await newestVersion(client)];
  await scoreForARound(client, prompt);
  await until(async () => (await client.learnerStatus()).rounds > before.rounds, 'the scores were learned from');
  await until(async () => {
    const { number, state } = await newestVersion(client);
    if (number > newest.number) return state !== 'candidate';
    return (await client.learnerStatus()).setbacks > before.setbacks;
  }, 'what was learned is live or rejected');
}

/** Plays rounds until the live version is at least `number`. */
export async function playUntil(client: HoneClient, number: number): Promise<Version> {
  for (let round = 0; ; round++) {
    const { live } = await client.status();
    if (live.number >= number) return live;
    await playRound(client, `version ${number}, round ${round}`);
  }
}

async function newestVersion(client: HoneClient): Promise<Version> {
  for await (const version of client.versions({ pageSize: 1 })) return version;
  throw new Error('there is no version');
}
