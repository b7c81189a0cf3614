/** When a judgement gets too little of the policy. The test counts the looks, and the runs of the model between them. */

import { expect, it } from 'vitest';
import { GatePace, type PaceChange } from '../../../src/gate/index.js';
import type { BackgroundRuns } from '../../../src/policy/index.js';
import { ScriptedPolicy } from '../../support/agent/scripted-policy.js';

function scripted() {
  let runs: BackgroundRuns = { own: 0, others: 0, lost: 0 };
  const policy = new ScriptedPolicy(() => {
    throw new Error('the pace draws no completions');
  });
  const pace = new GatePace({
    policy: { status: async () => ({ ...(await policy.status()), backgroundRuns: runs }) },
    lookEveryMs: null,
  });
  const changes: PaceChange[] = [];
  pace.onChange((change) => changes.push(change));
  /** Looks so many times, with so many runs before each look. */
  const look = async (times: number, { own = 0, others = 0, lost = 0 }: Partial<BackgroundRuns>) => {
    for (let i = 0; i < times; i++) {
      runs = { own: runs.own + own, others: runs.others + others, lost: runs.lost + lost };
      await pace.look();
    }
  };
  const restartWorker = () => {
    runs = { own: 0, others: 0, lost: 0 };
  };
  return { pace, changes, look, restartWorker };
}

it('says once that a judgement starves, and once that it gets enough again', async () => {
  const { pace, changes, look } = scripted();
  pace.follow(7);
  await look(20, { own: 1, others: 9 });
  expect(changes).toEqual([]);
  pace.completed(12);
  pace.gaveWay();
  await look(1, { own: 1, others: 9 });
  expect(changes).toEqual([
    {
      to: 'starved',
      version: 7,
      message: expect.stringMatching(
        /10 % of the model's runs, .*; send fewer .*; 12 completions so far, .* gave way 1 times/,
      ),
      numbers: { model_share: expect.closeTo(0.1), completions: 12, gave_way: 1 },
    },
  ]);
  expect(pace.status).toEqual({ share: expect.closeTo(0.1), starvedBecause: changes[0]?.message });
  await look(50, { own: 3, others: 7 });
  expect(changes).toHaveLength(1);
  await look(20, { own: 5, others: 5 });
  expect(changes.map(({ to }) => to)).toEqual(['starved', 'recovered']);
  expect(pace.status.starvedBecause).toBeNull();
});

it('does not count runs whose results were thrown away, because a request of the gate gave way', async () => {
  const { pace, changes, look } = scripted();
  pace.follow(1);
  await look(21, { own: 9, others: 1, lost: 8 });
  expect(changes.map(({ to }) => to)).toEqual(['starved']);
  expect(pace.status.share).toBeCloseTo(0.1);
});

it('says nothing about a judgement that is over before it has lasted for long, or that has the policy to itself', async () => {
  const { pace, changes, look } = scripted();
  const stop = pace.follow(1);
  await look(20, { own: 0, others: 10 });
  stop();
  pace.follow(2);
  await look(20, { own: 10, others: 0 });
  await look(100, { own: 10, others: 1 });
  expect(changes).toEqual([]);
});

it('does not count time in which the gate wants nothing from the policy, or in which no run was made', async () => {
  const { pace, changes, look } = scripted();
  pace.follow(1);
  await look(100, {});
  await look(10, { own: 0, others: 10 });
  expect(changes).toEqual([]);
  expect(pace.status.share).toBeNull();
});

it('ends the starvation with the judgement', async () => {
  const { pace, changes, look } = scripted();
  const stop = pace.follow(3);
  await look(30, { own: 0, others: 10 });
  stop();
  expect(changes.map(({ to, version }) => [to, version])).toEqual([
    ['starved', 3],
    ['recovered', 3],
  ]);
  expect(pace.status).toEqual({ share: null, starvedBecause: null });
  await look(30, { own: 0, others: 10 });
  expect(changes).toHaveLength(2);
});

it('goes on after the inference worker was started again, which then counts from 0', async () => {
  const { pace, changes, look, restartWorker } = scripted();
  pace.follow(1);
  await look(19, { own: 5, others: 5 });
  restartWorker();
  await look(3, { own: 5, others: 5 });
  expect(pace.status.share).toBeCloseTo(0.5);
  expect(changes).toEqual([]);
});
