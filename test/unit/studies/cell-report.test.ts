import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { estimate } from '../../../bench/lib/statistics.js';
import { type CellReport, toCellJson, toCellTable } from '../../../studies/cells/cell-report.js';
import { recordReport } from '../../../studies/cells/record.js';
import { temporaryFolder } from '../../support/folders.js';

const report: CellReport = {
  title: 'a study',
  rows: { copg: { regret: estimate([1, 2, 3, 4]), seeds: 4 }, ipo: { regret: estimate([0.5]), note: null } },
  cells: [
    { key: 'copg/0', seconds: 1.5, result: { regret: 1 } },
    { key: 'copg/1', seconds: 2, result: { regret: 2 } },
  ],
  missing: ['ipo/1'],
  failures: [],
  plots: { regret: '<svg/>' },
};

describe('an estimate', () => {
  it('is a mean with its standard error, unknown for a single value', () => {
    // Squares of the distances to 2.5: 5; 5 / 3 / 4 = 0.41667.
    expect(estimate([1, 2, 3, 4])).toEqual({ mean: 2.5, standardError: Math.sqrt(5 / 12), count: 4 });
    expect(estimate([7])).toEqual({ mean: 7, standardError: null, count: 1 });
  });
});

describe('the report of a bench of cells', () => {
  it('is one line of JSON with an object per row', () => {
    expect(JSON.parse(toCellJson(report))).toEqual({
      copg: { regret: 2.5, regret_standard_error: 0.65, seeds: 4 },
      ipo: { regret: 0.5, note: null },
    });
  });

  it('is a table with a line per row, for people and in Markdown', () => {
    const lines = toCellTable(report).split('\n');
    expect(lines[2]?.split(/ {2,}/)).toEqual(['copg', '2.5 ± 0.65', '4', '-']);
    expect(toCellTable(report, true)).toContain('| copg | 2.5 ± 0.65 | 4 | - |');
  });

  it('is kept with its plots, and says what made it and what is missing', () => {
    const folder = temporaryFolder();
    const date = new Date('2026-11-24T12:00:00Z');
    const paths = recordReport(report, { study: 'tldr', mode: 'full', command: 'npm run study', folder, date });
    expect(paths).toEqual([join(folder, 'tldr-full.json'), join(folder, 'tldr-full-regret.svg')]);
    expect(JSON.parse(readFileSync(paths[0] as string, 'utf8'))).toMatchObject({
      command: 'npm run study',
      date: '2026-11-24',
      machine: { node: process.version, cores: expect.any(Number) },
      aggregates: { copg: { regret: { mean: 2.5, count: 4 } } },
      missing: ['ipo/1'],
      cells: report.cells,
    });
    expect(readFileSync(paths[1] as string, 'utf8')).toBe('<svg/>\n');
  });
});
