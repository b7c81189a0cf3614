import { describe, expect, it } from 'vitest';
import { runCells } from '../../../studies/cells/cells.js';
import type { OnlineResult, OnlineTask } from '../../../studies/online/online-task.js';
import { temporaryFolder } from '../../support/folders.js';
import { run, task } from '../../support/studies/online-setup.js';

describe('the online loop', () => {
  it('gives the same run with the same seed, and another run with another seed', async () => {
    const late = { condition: 'late', budgets: [24], shape: 'preferences' } as const;
    const [first, again, other] = [await run(late), await run(late), await run({ ...late, seed: 4 })];
    expect(first[0]?.version).toBeGreaterThan(0);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });
});

describe('cells of the online study', () => {
  it('go on where they stopped', async () => {
    const settings = { scoresPerRound: 8, holdoutShare: 0 };
    const cells = (['groups2', 'singles-none'] as const).map((shape) => ({
      key: shape,
      input: { ...task, shape, budgets: [8], heldOutPosts: 2, settings },
    }));
    const module = new URL('../../../studies/online/online-cell.js', import.meta.url);
    const folder = temporaryFolder();
    const compute = () =>
      runCells<OnlineTask, OnlineResult>({ name: 'online', cells, module, workers: 1, folder, atMost: 1 });
    expect(await compute()).toMatchObject({ computed: 1, missing: ['singles-none'] });
    const { outcomes, ...rest } = await compute();
    expect(rest).toMatchObject({ computed: 1, missing: [] });
    expect(outcomes.map(({ key, result }) => [key, result.points[0]?.scores, result.points[0]?.version])).toEqual([
      ['groups2', 8, 1],
      ['singles-none', 8, 1],
    ]);
  });
});
