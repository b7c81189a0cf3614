/** The training of the reward model: the loss and its gradient, the preferences, and the measures of its card. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readBackbone } from '../../../models/recipe/reward/backbone.js';
import { headWeight } from '../../../models/recipe/reward/classifier.js';
import { measureAgreement, ranks } from '../../../models/recipe/reward/measures.js';
import { drawPreferences } from '../../../models/recipe/reward/preferences.js';
import { BradleyTerryTrainer } from '../../../models/recipe/reward/trainer.js';
import { loadPackage } from '../../../src/package/index.js';
import { projectFolder } from '../../support/server.js';

it('the gradient of Bradley-Terry agrees with finite differences, also at a margin of zero', async () => {
  const { shape, parameters } = await readBackbone(await loadPackage(join(projectFolder, 'models/tldr')));
  const trainer = await BradleyTerryTrainer.create(shape, parameters, { threads: 1, centring: 0.1 });
  const rows = [
    { promptTokens: [1, 300, 0, 2], completionTokens: [400, 500, 0] },
    { promptTokens: [1, 300, 0, 2], completionTokens: [600, 0] },
    { promptTokens: [1, 310, 320, 0, 2], completionTokens: [700, 0] },
  ];
  const pairs = [
    { better: 0, worse: 1 },
    { better: 2, worse: 1 },
  ];
  const head = parameters.get(headWeight)?.data as Float32Array;
  const loss = async () => (await trainer.step(rows, pairs, parameters)).loss;
  for (const scale of [0, 0.02]) {
    for (let i = 0; i < head.length; i++) head[i] = scale * Math.sin(i);
    const { gradients } = await trainer.step(rows, pairs, parameters);
    const gradient = gradients.get(headWeight) as Float32Array;
    expect(Math.hypot(...gradient)).toBeGreaterThan(0.1);
    for (const i of [0, 7, 100]) {
      const value = head[i] as number;
      head[i] = value + 1e-2;
      const above = await loss();
      head[i] = value - 1e-2;
      const below = await loss();
      head[i] = value;
      expect((above - below) / 2e-2).toBeCloseTo(gradient[i] as number, 3);
    }
  }
  await trainer.close();
});

it('the better completion is preferred as often as the sigmoid of the scores predicts', () => {
  let first = 0;
  for (let seed = 0; seed < 4000; seed++) if (drawPreferences([0.5, 0.4], seed, 10)[0]?.better === 10) first += 1;
  expect(first / 4000).toBeCloseTo(1 / (1 + Math.exp(-0.8)), 1);
  expect(drawPreferences([0.1, 0.2, 0.3], 1, 0)).toHaveLength(3);
});

it('agreement is computed from pairs within a post and ranks over all posts', () => {
  expect(ranks([3, 1, 3, 2])).toEqual([2.5, 0, 2.5, 1]);
  const same = measureAgreement([{ scores: [0, 0.5, 0.55], rewards: [-1, 0, 2] }]);
  expect(same).toMatchObject({ pairs: 3, pairAccuracy: 1, clearAccuracy: 1 });
  expect(same.rankCorrelation).toBeCloseTo(1);
  const half = measureAgreement([{ scores: [0, 0.5, 0.5], rewards: [0, 1, -1] }]);
  expect(half).toMatchObject({ pairs: 2, pairAccuracy: 0.5 });
});
