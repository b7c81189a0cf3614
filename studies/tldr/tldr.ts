/**
 * The paper's summarisation experiment (arXiv 2406.19185, section 5) at the size of the default policy: CoPG, IPO and
 * DPO learn offline from pairs of completions of the supervised policy; a reward model counts as the truth. Each method
 * has the same sweep of beta, data and number of steps; reward and KL are those of the completions that it writes on
 * held-out posts.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { estimate } from '../../bench/lib/statistics.js';
import { plot, type Series } from '../../models/recipe/plot.js';
import type { CellContext, CellMode, Study } from '../cells/cell-command.js';
import type { CellReport } from '../cells/cell-report.js';
import { type CellOutcome, fingerprintOf } from '../cells/cell-store.js';
import type { Cell } from '../cells/cells.js';
import { methodColors } from './series.js';
import type { OfflineInput, OfflinePoint, OfflineResult } from './tldr-cell.js';
import type { OfflinePair, PairsInput } from './tldr-pairs-cell.js';

const methods = ['copg', 'ipo', 'dpo'] as const;
type Compared = (typeof methods)[number];
const names: Readonly<Record<Compared, string>> = { copg: 'CoPG', ipo: 'IPO', dpo: 'DPO' };

interface Plan {
  readonly betas: readonly number[];
  readonly seeds: readonly number[];
  readonly pairs: number;
  readonly passes: number;
}

const plans: Readonly<Record<CellMode, Plan>> = {
  quick: { betas: [0.03, 0.1, 0.3], seeds: [0], pairs: 384, passes: 4 },
  full: { betas: [0.01, 0.03, 0.06, 0.1, 0.3, 1], seeds: [0, 1, 2], pairs: 384, passes: 4 },
};
const batch = 16;
const heldOutPosts = 256;

export const tldrStudy: Study = {
  name: 'tldr',
  description: 'the paper on the default policy: CoPG, IPO and DPO offline, each over a sweep of beta',
  run,
};

async function run({ mode, workFolder, compute }: CellContext): Promise<CellReport> {
  const plan = plans[mode];
  const drawn = await compute<PairsInput, OfflinePair[]>({
    cells: plan.seeds.map((seed) => ({ key: `pairs/seed-${seed}`, input: { seed, pairs: plan.pairs } })),
    module: new URL('./tldr-pairs-cell.js', import.meta.url),
    suffix: 'pairs',
    needed: true,
  });
  const cells: Cell<OfflineInput>[] = [];
  for (const [seed, { result: pairs }] of drawn.outcomes.map((one) => [seedOf(one.key), one] as const)) {
    const pairsFile = `tldr-pairs-${mode}-${seed}.json`;
    await writeFile(join(workFolder, pairsFile), JSON.stringify(pairs));
    const shared = { seed, passes: plan.passes, batch, heldOutPosts, pairsDigest: fingerprintOf(pairs), pairsFile };
    for (const beta of plan.betas) {
      for (const method of methods) cells.push({ key: keyOf(method, beta, seed), input: { method, beta, ...shared } });
    }
  }
  const learned = await compute<OfflineInput, OfflineResult>({
    cells,
    module: new URL('./tldr-cell.js', import.meta.url),
  });
  const find = resultsIn(learned.outcomes, plan);
  return {
    title: `offline on ${plan.pairs} pairs, ${plan.passes} passes, ${heldOutPosts} held-out posts, seeds ${plan.seeds.join(', ')}`,
    rows: Object.fromEntries(
      methods.flatMap((method) => plan.betas.map((beta) => [`${method} ${beta}`, rowOf(find(method, beta))])),
    ),
    cells: learned.outcomes,
    missing: [...drawn.missing, ...learned.missing],
    failures: [...drawn.failures, ...learned.failures],
    plots: {
      beta: betaPlot(plan, find),
      frontier: frontierPlot(plan, find),
      curves: curvePlot(plan, find),
    },
  };
}

const keyOf = (method: Compared, beta: number, seed: number): string => `${method}/beta-${beta}/seed-${seed}`;
const seedOf = (key: string): number => Number(/seed-(\d+)$/.exec(key)?.[1]);

type Find = (method: Compared, beta: number) => OfflineResult[];

function resultsIn(outcomes: readonly CellOutcome<OfflineResult>[], { seeds }: Plan): Find {
  const byKey = new Map(outcomes.map(({ key, result }) => [key, result]));
  return (method, beta) => seeds.flatMap((seed) => byKey.get(keyOf(method, beta, seed)) ?? []);
}

function rowOf(results: readonly OfflineResult[]): CellReport['rows'][string] {
  if (results.length === 0) return {};
  const last = results.map(lastOf);
  return {
    reward: estimate(last.map(({ reward }) => reward)),
    gain: estimate(results.map((result) => lastOf(result).reward - (result.points[0] as OfflinePoint).reward)),
    kl: estimate(last.map(({ kl }) => kl)),
    tokens: estimate(last.map(({ tokens }) => tokens)),
    preferred_h: estimate(results.map(({ preferredH }) => preferredH)),
    other_h: estimate(results.map(({ otherH }) => otherH)),
    seeds: results.length,
  };
}

const lastOf = ({ points }: OfflineResult): OfflinePoint => points.at(-1) as OfflinePoint;
const rewardOf = (results: readonly OfflineResult[]) => estimate(results.map((result) => lastOf(result).reward));

function startMark(plan: Plan, find: Find): { label: string; y: number }[] {
  const any = methods.flatMap((method) => plan.betas.flatMap((beta) => find(method, beta)))[0]?.points[0];
  return any ? [{ label: 'supervised policy', y: any.reward }] : [];
}

function betaPlot(plan: Plan, find: Find): string {
  const series = methods.map((method): Series => {
    const there = plan.betas.filter((beta) => find(method, beta).length > 0);
    const rewards = there.map((beta) => rewardOf(find(method, beta)));
    return {
      label: names[method],
      color: methodColors[method],
      points: there.map((beta, i) => [beta, rewards[i]?.mean ?? 0] as const),
      errors: rewards.map(({ standardError }) => standardError ?? 0),
      bars: true,
    };
  });
  return plot({
    title: 'Held-out reward after the last pass, against beta',
    xLabel: `beta (mean and standard error of ${plan.seeds.length} seeds)`,
    series,
    marks: startMark(plan, find),
    xScale: 'log',
    height: 320,
  });
}

function frontierPlot(plan: Plan, find: Find): string {
  const series = methods.map(
    (method): Series => ({
      label: names[method],
      color: methodColors[method],
      points: plan.betas.flatMap((beta) =>
        find(method, beta).map((result) => [lastOf(result).kl, lastOf(result).reward] as const),
      ),
      scatter: true,
    }),
  );
  return plot({
    title: 'Held-out reward against KL, every beta and seed',
    xLabel: 'KL to the supervised policy, nats per completion',
    series,
    marks: startMark(plan, find),
    height: 320,
  });
}

/** The beta with a method's highest mean reward; undefined if no cell is computed yet. */
function bestBeta(method: Compared, plan: Plan, find: Find): number | undefined {
  const there = plan.betas.filter((beta) => find(method, beta).length > 0);
  return there.sort((a, b) => rewardOf(find(method, b)).mean - rewardOf(find(method, a)).mean)[0];
}

function curvePlot(plan: Plan, find: Find): string {
  const series = methods.flatMap((method): Series[] => {
    const beta = bestBeta(method, plan, find);
    if (beta === undefined) return [];
    const results = find(method, beta);
    const steps = results[0]?.points.map(({ step }) => step) ?? [];
    const rewards = steps.map((_, i) => estimate(results.map(({ points }) => points[i]?.reward ?? Number.NaN)));
    return [
      {
        label: `${names[method]}, beta ${beta}`,
        color: methodColors[method],
        points: steps.map((step, i) => [step, rewards[i]?.mean ?? 0] as const),
        errors: rewards.map(({ standardError }) => standardError ?? 0),
        bars: true,
      },
    ];
  });
  return plot({ title: "Held-out reward, each method's best beta", xLabel: 'step', series, height: 320 });
}
