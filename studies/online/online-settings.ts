/**
 * Chooses the learner's defaults for few scores: the same loop with one or two settings changed at a time, under the judge
 * of facts with seeds 0 to 4. `online.ts` measures the best of them with another judge and other seeds.
 */

import type { CellContext, CellMode, Study } from '../cells/cell-command.js';
import type { CellReport } from '../cells/cell-report.js';
import type { Cell } from '../cells/cells.js';
import { computeOnline, startCells } from './online-cells.js';
import { gainFigures } from './online-figures.js';
import type { OnlineTask } from './online-task.js';

const judge = 'facts';
const heldOutPosts = 256;
const budgets = [100, 300];
/** The tasks that the settings have to suit. */
const tasks: readonly Pick<OnlineTask, 'condition' | 'shape'>[] = [
  { condition: 'clean', shape: 'groups4' },
  { condition: 'clean', shape: 'singles-mean' },
  { condition: 'noisy', shape: 'singles-mean' },
  { condition: 'clean', shape: 'preferences' },
];
const seedsOf: Readonly<Record<CellMode, readonly number[]>> = { quick: [0, 1], full: [0, 1, 2, 3, 4] };

/** Settings by the name of the variant. Each names all settings in question, so no cell changes with a default. */
const variants: Readonly<Record<string, OnlineTask['settings']>> = {
  'rounds of 64': { scoresPerRound: 64, replayRatio: 3, learningRate: 1e-3, beta: 0.05 },
  'rounds of 16': { scoresPerRound: 16, replayRatio: 3, learningRate: 1e-3, beta: 0.05 },
  'rounds of 16, rate 0.002': { scoresPerRound: 16, replayRatio: 3, learningRate: 2e-3, beta: 0.05 },
  'rounds of 16, replay 6': { scoresPerRound: 16, replayRatio: 6, learningRate: 1e-3, beta: 0.05 },
  'rounds of 16, replay 6, beta 0.1': { scoresPerRound: 16, replayRatio: 6, learningRate: 1e-3, beta: 0.1 },
  'rounds of 16, replay 4, beta 0.1': { scoresPerRound: 16, replayRatio: 4, learningRate: 1e-3, beta: 0.1 },
};

export const onlineSettingsStudy: Study = {
  name: 'online-settings',
  description: 'held-out reward after few scores, for settings of the learner',
  run: runStudy,
};

async function runStudy(context: CellContext): Promise<CellReport> {
  const seeds = seedsOf[context.mode];
  const cells = seeds.flatMap((seed) =>
    tasks.flatMap(({ condition, shape }) =>
      Object.entries(variants).map(
        ([name, settings]): Cell<OnlineTask> => ({
          key: `${condition}/${shape}/${name}/seed-${seed}`,
          input: { judge, seed, shape, condition, budgets, heldOutPosts, settings },
        }),
      ),
    ),
  );
  const { outcomes, starts, ...rest } = await computeOnline(context, startCells({ judge, seeds, heldOutPosts }), cells);
  const rows = tasks.flatMap(({ condition, shape }) =>
    Object.keys(variants).flatMap((name) => {
      const own = outcomes.filter(({ key }) => key.startsWith(`${condition}/${shape}/${name}/`));
      return own.length === 0 ? [] : [[`${condition} ${shape}, ${name}`, gainFigures(own, budgets, starts)] as const];
    }),
  );
  return {
    title: `gain in held-out reward (${judge}, up to ${seeds.length} seeds, ${heldOutPosts} posts) ± standard error`,
    rows: Object.fromEntries(rows),
    plots: {},
    ...rest,
  };
}
