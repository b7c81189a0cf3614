/** Scores on a scale of their own, such as one to five stars, teach the learner what they say. */

import { expect, test } from 'vitest';
import { checkRewardSettings } from '../../../../src/reward/index.js';
import { temporaryFolder } from '../../../support/folders.js';
import { openExperience } from '../../../support/learner/experience.js';
import { adapterProbabilities, isCandidate, isIdle, round, startRunner } from '../../../support/learner/runner.js';
import { scoreWrite } from '../../../support/replay/records.js';

const starsOfArms = [5, 3, 1] as const;

/** Stores a round in which every arm has its stars, and tells the learner. */
async function learnFromStars(reward: unknown) {
  const directory = temporaryFolder();
  const experience = await openExperience(directory);
  const started = startRunner(directory, experience, { reward: checkRewardSettings(reward) });
  await started.until(isIdle);
  const samples = round(1).map(({ reward: _, ...sample }) => sample);
  await experience.add(samples);
  await experience.store.write(
    samples.map(({ id, tokens }) => scoreWrite(id, starsOfArms[tokens?.[0] as 0 | 1 | 2], { metric: 'stars' })),
  );
  started.runner.handle({ type: 'changed' });
  return started;
}

test('a version that learned from one to five stars prefers what had five stars to what had one', async () => {
  const { engine, until } = await learnFromStars({ metrics: { stars: { min: 1, max: 5 } } });
  const candidate = await until(isCandidate);
  const [five = 0, three = 0, one = 0] = await adapterProbabilities(engine, candidate.directory);
  expect(five).toBeGreaterThan(0.4);
  expect(five).toBeGreaterThan(three);
  expect(three).toBeGreaterThan(one);
  expect(one).toBeLessThan(0.3);
  expect(candidate.metrics).toMatchObject({ mean_reward: 0.5 });
});

test('nothing is learned from stored stars that lie outside the range of their metric, save those within it', async () => {
  const { engine, until } = await learnFromStars({});
  const read = await until((event) => event.type === 'progress' && event.progress.scoresSeen === 12);
  // One star is the best score from 0 to 1. The others would be cut to it.
  expect(read).toMatchObject({ progress: { buffer: { completions: 4 } } });
  expect(engine.passes.every(({ rows }) => rows.every(({ completionTokens }) => completionTokens[0] === 2))).toBe(true);
});
