/**
 * Does little feedback teach? Held-out reward against the number of scores: groups, preferences and single completions;
 * clean, noisy, late and shifted feedback. No default was chosen on its judge and seeds (tone, 5 to 9). Defaults were chosen
 * by `online-settings.ts` (facts, 0 to 4).
 */

import type { CellContext, CellMode, Study } from '../cells/cell-command.js';
import type { CellReport } from '../cells/cell-report.js';
import type { Cell } from '../cells/cells.js';
import { computeOnline, startCells } from './online-cells.js';
import { gainFigures, onlinePlot } from './online-figures.js';
import { conditions, type OnlineTask, shapeNames } from './online-task.js';

const judge = 'tone';
const seeds = [5, 6, 7, 8, 9];
const heldOutPosts = 256;
/** The settings that `online-settings.ts` found best for few scores. */
const settings: OnlineTask['settings'] = { scoresPerRound: 16, replayRatio: 6, beta: 0.1 };

/** Budgets of one run of the loop each. The second run repeats the scores of the first, so either may be left out. */
const stretches: Readonly<Record<CellMode, readonly (readonly number[])[]>> = {
  quick: [[100, 300]],
  full: [[100, 300], [1000]],
};

export const onlineStudy: Study = {
  name: 'online',
  description: 'held-out reward against the number of scores, for each shape of feedback',
  run: runStudy,
};

function cellsOf(mode: CellMode): Cell<OnlineTask>[] {
  return stretches[mode].flatMap((budgets) =>
    conditions
      .filter((condition) => mode === 'full' || condition === 'clean')
      .flatMap((condition) =>
        seeds.flatMap((seed) =>
          shapeNames.map((shape) => ({
            key: `${budgets.at(-1)}/${condition}/${shape}/seed-${seed}`,
            input: { judge, seed, shape, condition, budgets, heldOutPosts, settings },
          })),
        ),
      ),
  );
}

async function runStudy(context: CellContext): Promise<CellReport> {
  const { outcomes, starts, ...rest } = await computeOnline(
    context,
    startCells({ judge, seeds, heldOutPosts }),
    cellsOf(context.mode),
  );
  const budgets = stretches[context.mode].flat();
  const rows = conditions.flatMap((condition) =>
    shapeNames.flatMap((shape) => {
      const own = outcomes.filter(({ task }) => task.condition === condition && task.shape === shape);
      return own.length === 0 ? [] : [[`${condition} ${shape}`, gainFigures(own, budgets, starts)] as const];
    }),
  );
  return {
    title: `gain in held-out reward (${judge}, seeds ${seeds[0]} to ${seeds.at(-1)}, ${heldOutPosts} posts) ± standard error`,
    rows: Object.fromEntries(rows),
    plots: { reward: onlinePlot(outcomes, budgets, starts) },
    ...rest,
  };
}
