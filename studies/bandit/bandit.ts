/**
 * The bandit of section 4 of the paper (arXiv 2406.19185): which method finds the regularised optimum from data of
 * other policies? It compares CoPG, IPO on preferences that follow Bradley-Terry, and policy gradients that treat the
 * data as their own samples, without a baseline and with the policy's expected reward as the baseline.
 */

import { estimate } from '../../bench/lib/statistics.js';
import { plot, type Series } from '../../models/recipe/plot.js';
import type { CellContext, Study } from '../cells/cell-command.js';
import type { CellReport } from '../cells/cell-report.js';
import type { CellOutcome } from '../cells/cell-store.js';
import type { Cell } from '../cells/cells.js';
import type { Method } from '../tldr/methods.js';
import { methodColors } from '../tldr/series.js';
import type { BanditInput, BanditResult } from './bandit-cell.js';

const methods = ['copg', 'ipo', 'pg', 'pg_value'] as const satisfies readonly Method[];
const names: Readonly<Record<(typeof methods)[number], string>> = {
  copg: 'CoPG',
  ipo: 'IPO',
  pg: 'policy gradient',
  pg_value: 'policy gradient, baseline E[R]',
};
const seeds = [0, 1, 2, 3, 4];

/** A learning rate at which all methods have converged; and the paper's, at which CoPG has not after as many epochs. */
const settled = { learningRate: 1e-2, epochs: 100 } as const;
const literal = { learningRate: 1e-3, epochs: 100 } as const;
/** `--full` adds the paper's rate for as many epochs as it needs to converge. */
const patient = { learningRate: 1e-3, epochs: 400 } as const;

type Setting = Pick<BanditInput, 'learningRate' | 'epochs'>;

export const banditStudy: Study = {
  name: 'bandit',
  description: "the paper's bandit: regret of CoPG, IPO and policy gradients on data of other policies",
  run,
};

async function run({ mode, compute }: CellContext): Promise<CellReport> {
  const settings: readonly Setting[] = mode === 'full' ? [settled, literal, patient] : [settled, literal];
  const cells = settings.flatMap((setting) =>
    methods.flatMap((method) => seeds.map((seed) => cellOf(method, setting, seed))),
  );
  const module = new URL('./bandit-cell.js', import.meta.url);
  const { outcomes, missing, failures } = await compute<BanditInput, BanditResult>({ cells, module });
  const find = resultsIn(outcomes);
  return {
    title: `regret on the bandit after ${settled.epochs} epochs, ${seeds.length} seeds; at the paper's learning rate of ${literal.learningRate} CoPG has not converged yet`,
    rows: Object.fromEntries(
      methods.map((method) => [
        method,
        Object.fromEntries(
          settings.flatMap((setting) => {
            const regrets = find(method, setting).map(({ regret }) => regret);
            return regrets.length > 0 ? [[columnOf(setting), estimate(regrets)]] : [];
          }),
        ),
      ]),
    ),
    cells: outcomes,
    missing,
    failures,
    plots: Object.fromEntries(
      settings.map((setting) => [`rate-${setting.learningRate}-epochs-${setting.epochs}`, regretPlot(setting, find)]),
    ),
  };
}

const columnOf = (setting: Setting): string =>
  setting === settled ? 'regret' : `regret_rate_${setting.learningRate}_epochs_${setting.epochs}`;

function cellOf(method: Method, setting: Setting, seed: number): Cell<BanditInput> {
  const { learningRate, epochs } = setting;
  return {
    key: `${method}/rate-${learningRate}/epochs-${epochs}/seed-${seed}`,
    input: { method, seed, pairs: 10_000, batch: 512, learningRate, epochs },
  };
}

type Find = (method: Method, setting: Setting) => BanditResult[];

function resultsIn(outcomes: readonly CellOutcome<BanditResult>[]): Find {
  const byKey = new Map(outcomes.map(({ key, result }) => [key, result]));
  return (method, setting) => seeds.flatMap((seed) => byKey.get(cellOf(method, setting, seed).key) ?? []);
}

function regretPlot(setting: Setting, find: Find): string {
  const { learningRate, epochs } = setting;
  const series = methods.map((method): Series => {
    const curves = find(method, setting).map(({ curve }) => curve);
    const points = curves[0]?.map((_, epoch) => estimate(curves.map((curve) => curve[epoch] as number))) ?? [];
    return {
      label: names[method],
      color: methodColors[method],
      points: points.map(({ mean }, epoch) => [epoch, mean] as const),
      errors: points.map(({ standardError }) => standardError ?? 0),
    };
  });
  const note = setting === literal ? ': CoPG has not converged yet' : '';
  return plot({
    title: `Regret, Adam ${learningRate}, ${epochs} epochs${note}`,
    xLabel: 'epoch (mean and standard error of five seeds)',
    series,
    yScale: 'log',
    yRange: [1e-10, 1],
    height: 320,
  });
}
