/** Figures of the cells of `study online`: gains with their standard errors, and a plot per condition. */

import { type Estimate, estimate } from '../../bench/lib/statistics.js';
import { escapeHtml, plot } from '../../models/recipe/plot.js';
import type { CellFigure } from '../cells/cell-report.js';
import {
  type Condition,
  conditions,
  type OnlinePoint,
  type OnlineResult,
  type OnlineTask,
  type ShapeName,
  shapeNames,
} from './online-task.js';

/** A computed cell: its task and its result. */
export interface OnlineOutcome {
  readonly key: string;
  readonly task: Pick<OnlineTask, 'seed' | 'shape' | 'condition'>;
  readonly result: OnlineResult;
}

/** Reward of version 0, by seed. */
export type Starts = ReadonlyMap<number, number>;

/** The gain in held-out reward over the start, per seed, at one budget. */
export function gainsAt(outcomes: readonly OnlineOutcome[], scores: number, starts: Starts): number[] {
  return outcomes.flatMap(({ task, result }) => {
    const start = starts.get(task.seed);
    const point = pointAt(result, scores);
    return start === undefined || point === undefined ? [] : [point.reward - start];
  });
}

/** Least number of seeds for a verdict. */
const seedsForVerdict = 5;

/** Whether the mean gain of five seeds or more is above two of its standard errors; null while there are fewer. */
export function helps({ mean, standardError, count }: Estimate): boolean | null {
  return standardError === null || count < seedsForVerdict ? null : mean > 2 * standardError;
}

/** Figures of the cells of one row: per budget the seeds, the gain, whether it helps, KL and length. */
export function gainFigures(
  outcomes: readonly OnlineOutcome[],
  budgets: readonly number[],
  starts: Starts,
): Record<string, CellFigure> {
  return Object.fromEntries(
    budgets.flatMap((scores): [string, CellFigure][] => {
      const gains = gainsAt(outcomes, scores, starts);
      if (gains.length === 0) return [];
      const gain = estimate(gains);
      const points = outcomes.flatMap(({ result }) => pointAt(result, scores) ?? []);
      const does = helps(gain);
      return [
        [`seeds_${scores}`, gain.count],
        [`gain_${scores}`, gain],
        [`helps_${scores}`, does === null ? null : does ? 'yes' : 'no'],
        [`kl_${scores}`, meanOf(points.map(({ kl }) => kl))],
        [`tokens_${scores}`, meanOf(points.map(({ tokens }) => tokens))],
      ];
    }),
  );
}

const colors: Readonly<Record<ShapeName, string>> = {
  groups4: '#2a78d6',
  groups2: '#1c9c8a',
  preferences: '#8a4fc7',
  'singles-prompt': '#c2410c',
  'singles-mean': '#d69a2a',
  'singles-none': '#888888',
};
const panel = { width: 420, height: 260 };
const legendHeight = 28;

/** Held-out reward against the number of scores, a line per shape, a panel per condition that has cells. */
export function onlinePlot(outcomes: readonly OnlineOutcome[], budgets: readonly number[], starts: Starts): string {
  const present = conditions.filter((condition) => outcomes.some(({ task }) => task.condition === condition));
  const columns = Math.min(2, Math.max(1, present.length));
  const rows = Math.ceil(present.length / columns);
  const panels = present.map((condition, i) => {
    const place = `x="${(i % columns) * panel.width}" y="${legendHeight + Math.floor(i / columns) * panel.height}"`;
    return panelOf(outcomes, condition, budgets, starts).replace('<svg ', `<svg ${place} `);
  });
  const [width, height] = [Math.max(columns * panel.width, 700), legendHeight + rows * panel.height];
  // In the words' own colour, which contrasts with either background; a panel brings the style.
  const legend = shapeNames.map((shape, i) => {
    const x = 16 + i * 112;
    return `<line stroke="${colors[shape]}" stroke-width="3" x1="${x}" x2="${x + 12}" y1="14" y2="14"/><text x="${x + 16}" y="18">${escapeHtml(shape)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>Held-out reward against the number of scores</title>${legend.join('')}${panels.join('')}</svg>`;
}

function panelOf(
  outcomes: readonly OnlineOutcome[],
  condition: Condition,
  budgets: readonly number[],
  starts: Starts,
): string {
  const start = estimate([...starts.values()]);
  const all = shapeNames.map((shape) => {
    const own = outcomes.filter(({ task }) => task.condition === condition && task.shape === shape);
    const gains = budgets.flatMap((scores) => {
      const values = gainsAt(own, scores, starts);
      return values.length === 0 ? [] : [{ scores, gain: estimate(values) }];
    });
    const origin = gains.length === 0 ? [] : [{ scores: 0, gain: { mean: 0, standardError: 0, count: 1 } }];
    const points = [...origin, ...gains];
    return {
      label: '',
      color: colors[shape],
      bars: true,
      points: points.map(({ scores, gain }) => [scores, start.mean + gain.mean] as const),
      errors: points.map(({ gain }) => gain.standardError ?? 0),
    };
  });
  return plot({
    title: `${condition}: held-out reward`,
    xLabel: 'scores in all',
    series: all,
    marks: [{ label: 'start', y: start.mean }],
    ...panel,
  });
}

function pointAt({ points }: OnlineResult, scores: number): OnlinePoint | undefined {
  return points.find((point) => point.scores === scores);
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
