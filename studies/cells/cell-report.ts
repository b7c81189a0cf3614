/** The report of a study: rows of figures with their standard errors, plots, and the cells behind them. */

import { type Estimate, significant } from '../../bench/lib/statistics.js';
import type { CellOutcome } from './cell-store.js';

export type CellFigure = Estimate | number | string | null;

export interface CellReport {
  readonly title: string;
  /** Figures by row, such as a method or a condition. The row's name is its key in the JSON line. */
  readonly rows: Readonly<Record<string, Readonly<Record<string, CellFigure>>>>;
  /** The cells from which the rows are computed. */
  readonly cells: readonly CellOutcome<unknown>[];
  /** Keys of the cells without a result. */
  readonly missing: readonly string[];
  /** Sentences that explain why cells failed. */
  readonly failures: readonly string[];
  /** Plots as SVG, by name. */
  readonly plots: Readonly<Record<string, string>>;
}

/** Returns one line such as `{"copg":{"regret":…,"regret_standard_error":…},…}`. */
export function toCellJson({ rows }: Pick<CellReport, 'rows'>): string {
  return JSON.stringify(mapValues(rows, (figures) => Object.fromEntries(Object.entries(figures).flatMap(flatten))));
}

function flatten([name, figure]: [string, CellFigure]): [string, number | string | null][] {
  if (typeof figure === 'number') return [[name, significant(figure)]];
  if (figure === null || typeof figure === 'string') return [[name, figure]];
  const { mean, standardError } = figure;
  if (standardError === null) return [[name, significant(mean)]];
  return [
    [name, significant(mean)],
    [`${name}_standard_error`, significant(standardError, 2)],
  ];
}

/** Returns a header and a line per row, as plain text or as the Markdown of the README. */
export function toCellTable({ title, rows }: Pick<CellReport, 'title' | 'rows'>, markdown = false): string {
  const columns = [...new Set(Object.values(rows).flatMap((figures) => Object.keys(figures)))];
  const lines = [
    ['', ...columns],
    ...Object.entries(rows).map(([row, figures]) => [row, ...columns.map((column) => show(figures[column]))]),
  ];
  if (markdown) {
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const [header = [], ...rest] = lines;
    return [`${title}`, '', line(header), line(header.map(() => '---')), ...rest.map(line)].join('\n');
  }
  const widths = ['', ...columns].map((_, i) => Math.max(...lines.map((line) => (line[i] as string).length)));
  return [
    title,
    ...lines.map((line) =>
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('  ')
        .trimEnd(),
    ),
  ].join('\n');
}

function show(figure: CellFigure | undefined): string {
  if (figure === null || figure === undefined) return '-';
  if (typeof figure === 'string') return figure;
  if (typeof figure === 'number') return String(significant(figure, 3));
  const { mean, standardError } = figure;
  return standardError === null
    ? String(significant(mean, 3))
    : `${significant(mean, 3)} ± ${significant(standardError, 2)}`;
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
