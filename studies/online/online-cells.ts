/** Cells of the online loop: the reward that each seed starts with, and what was learned from there. */

import type { CellContext } from '../cells/cell-command.js';
import type { CellReport } from '../cells/cell-report.js';
import type { Cell } from '../cells/cells.js';
import type { OnlineOutcome, Starts } from './online-figures.js';
import type { JudgeName, OnlineResult, OnlineTask } from './online-task.js';

const cellModule = new URL('./online-cell.js', import.meta.url);

/** Version 0 on the held-out posts, one cell per seed: every run of that seed starts there. */
export function startCells(of: {
  readonly judge: JudgeName;
  readonly seeds: readonly number[];
  readonly heldOutPosts: number;
}): Cell<OnlineTask>[] {
  const { judge, seeds, heldOutPosts } = of;
  return seeds.map((seed) => ({
    key: `start/seed-${seed}`,
    input: { judge, seed, shape: 'groups4', condition: 'clean', budgets: [0], heldOutPosts, settings: {} },
  }));
}

export interface OnlineCells extends Pick<CellReport, 'cells' | 'missing' | 'failures'> {
  readonly starts: Starts;
  /** The cells of `cells` that were computed, with their tasks. */
  readonly outcomes: readonly OnlineOutcome[];
}

/** Computes the starts and what was learned from them; cells that were computed before are not computed again. */
export async function computeOnline(
  context: CellContext,
  starts: readonly Cell<OnlineTask>[],
  cells: readonly Cell<OnlineTask>[],
): Promise<OnlineCells> {
  const part = { module: cellModule };
  const started = await context.compute<OnlineTask, OnlineResult>({
    ...part,
    cells: starts,
    suffix: 'start',
    needed: true,
  });
  const learned = await context.compute<OnlineTask, OnlineResult>({ ...part, cells });
  const taskOf = new Map([...starts, ...cells].map(({ key, input }) => [key, input]));
  return {
    starts: new Map(
      started.outcomes.flatMap(({ key, result }) => {
        const [point] = result.points;
        const seed = taskOf.get(key)?.seed;
        return point === undefined || seed === undefined ? [] : [[seed, point.reward] as const];
      }),
    ),
    outcomes: learned.outcomes.flatMap(({ key, result }) => {
      const task = taskOf.get(key);
      return task === undefined ? [] : [{ key, task, result }];
    }),
    cells: [...started.outcomes, ...learned.outcomes],
    missing: [...started.missing, ...learned.missing],
    failures: [...started.failures, ...learned.failures],
  };
}
