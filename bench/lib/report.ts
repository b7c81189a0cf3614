/** The report of a bench, and how to show it: a table for people, also in Markdown, or one line of JSON for programs. */

import { significant } from './statistics.js';

export type Figures = Readonly<Record<string, number | string | null>>;

export interface BenchReport {
  readonly title: string;
  /** The limits, measured in the same run. */
  readonly limits: Figures;
  /** Figures by model name. */
  readonly models: Readonly<Record<string, Figures>>;
  /** Figures that belong to no model. */
  readonly general?: Figures;
  /** Names of figures that are shares of a limit. If one is above 1, the limit was measured wrongly. */
  readonly shares: readonly string[];
  /** Sentences that explain why figures are doubtful. */
  readonly problems?: readonly string[];
}

const round = (figures: Figures): Figures =>
  Object.fromEntries(
    Object.entries(figures).map(([key, value]) => [key, typeof value === 'number' ? significant(value) : value]),
  );

/** Returns one line such as `{"tldr":{…},"135M":{…},"limits":{…}}`. General figures are beside the models. */
export function toJsonLine(report: BenchReport): string {
  const models = Object.fromEntries(Object.entries(report.models).map(([name, figures]) => [name, round(figures)]));
  return JSON.stringify({ ...models, ...round(report.general ?? {}), limits: round(report.limits) });
}

const show = (value: number | string | null | undefined): string =>
  value === null || value === undefined ? '-' : typeof value === 'number' ? String(significant(value)) : value;

/** With more models, a table has a row for each of them, because a line has no room for as many columns. */
const maxColumns = 4;

/** Returns a header and a row per figure, with a column per model; with many models, a row per model. */
function tableRows(report: BenchReport): string[][] {
  const names = Object.keys(report.models);
  const keys = [...new Set(names.flatMap((name) => Object.keys(report.models[name] ?? {})))];
  if (names.length > maxColumns) {
    return [['', ...keys], ...names.map((name) => [name, ...keys.map((key) => show(report.models[name]?.[key]))])];
  }
  return [['', ...names], ...keys.map((key) => [key, ...names.map((name) => show(report.models[name]?.[key]))])];
}

const list = (figures: Figures): string[] => Object.entries(figures).map(([key, value]) => `${key} ${show(value)}`);

/** Returns the table in Markdown, for `bench/README.md`. */
export function toMarkdown(report: BenchReport): string {
  const [header = [], ...rows] = tableRows(report);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    `${report.title}. ${list({ ...report.limits, ...report.general }).join(', ')}.`,
    '',
    line(header),
    line(header.map(() => '---')),
    ...rows.map(line),
  ].join('\n');
}

/** Returns the table as plain text. */
export function toTable(report: BenchReport): string {
  const names = Object.keys(report.models);
  const rows = tableRows(report);
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
      )
      .join('  ')
      .trimEnd(),
  );
  return [
    report.title,
    ...(names.length > 0 ? lines : []),
    ...list(report.general ?? {}),
    ...(Object.keys(report.limits).length > 0 ? [`limits: ${list(report.limits).join(', ')}`] : []),
  ].join('\n');
}

/** Returns a sentence for each share above 1. */
export function impossibleShares(report: BenchReport): string[] {
  return Object.entries(report.models).flatMap(([name, figures]) =>
    report.shares.flatMap((key) => {
      const value = figures[key];
      return typeof value === 'number' && value > 1
        ? [
            `${name}: ${key} is ${significant(value)}; a share of a limit cannot exceed 1, so the limit was measured wrongly`,
          ]
        : [];
    }),
  );
}
