/** Sets up the online study on the tiny package, for its tests. */

import { runOnline } from '../../../studies/online/online-loop.js';
import type { OnlineResult, OnlineTask } from '../../../studies/online/online-task.js';
import type { World } from '../../../studies/online/online-world.js';
import { tinyDirectory } from '../tiny.js';

/** Posts are numbers. A completion scores higher if a larger share of it is plain ASCII. */
export const world: World = {
  trainingPost: (seed, n) => `${seed} ${n}`,
  heldOutPost: (n) => `held out ${n}`,
  judge: (_, text) => (text === '' ? 0 : [...text].filter((c) => c < '\u0080').length / [...text].length),
  shift: (post) => (post.includes('2') ? 1 : 0),
};

export const task: OnlineTask = {
  judge: 'facts',
  seed: 3,
  shape: 'singles-mean',
  condition: 'clean',
  budgets: [0, 96],
  heldOutPosts: 48,
  settings: {
    learningRate: 0.05,
    warmupSteps: 2,
    beta: 0.01,
    rank: 4,
    scoresPerRound: 16,
    replayRatio: 4,
    holdoutShare: 0,
    // The tiny package learns within six rounds only with steps that the guard would end.
    guardMaxKl: 1e6,
    guardMaxMove: 1e6,
    guardMaxPushDown: 1e6,
  },
};

export async function run(over: Partial<OnlineTask> = {}): Promise<OnlineResult['points']> {
  const options = { ...task, ...over, world, packageDirectory: tinyDirectory, maxTokens: 10 };
  return (await runOnline(options)).points;
}
