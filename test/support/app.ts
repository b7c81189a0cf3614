/** Simulates an app that asks for completions and scores them. */

import type { HoneClient, Version } from '../../client/index.js';
import { until } from './until.js';

const scoresPerRound = 16;

/** Settings of a learner that makes a version from every few scores, and learns from all of them. */
export const eagerLearner = [
  '--learner',
  'on',
  '--learner-settings',
  JSON.stringify({ scoresPerRound, holdoutShare: 0 }),
];

/** A reward that a random model can improve: the share of letters in the first half of the alphabet. */
export function judge(text: string): number {
  return (text.match(/[a-m]/gi)?.length ?? 0) / Math.max(1, text.length);
}

/** Asks for `n` completions of one prompt and scores them all. Resolves when the scores are acknowledged. */
export async function askAndScore(client: HoneClient, prompt: string, n = 4): Promise<readonly string[]> {
  const { completions } = await client.generate({ prompt, n, maxTokens: 16 });
  await client.feedback(completions.map(({ generationId, text }) => ({ generationId, score: judge(text) })));
  return completions.map(({ generationId }) => generationId);
}

/** The number of scores with which an eager learner starts a round. */
export async function scoreForARound(client: HoneClient, prompt: string): Promise<void> {
  for (let part = 0; part < scoresPerRound / 4; part++) await askAndScore(client, `${prompt}, part ${part}`);
}

/**
 * Sends the scores for a round, and waits for the end of the round and for the verdict on its version. It sends no
 * requests while it waits: the learner has the lowest priority, and on a busy machine it would get no processor time.
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
  throw new Error('the server has no version');
}
