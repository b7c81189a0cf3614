/** The record of test runs that `npm run test:repeat` keeps, and its table. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';
import { projectFolder } from '../../support/server.js';

interface Run {
  readonly startedAt: string;
  readonly seconds: number;
  readonly busy: boolean;
  readonly commit: string;
  readonly node: string;
  readonly green: boolean;
  readonly passed: number;
  readonly failed: readonly string[];
}

const { describeRuns, keepRun, readResults, readRuns } = (await import(
  join(projectFolder, 'scripts/test-runs.mjs')
)) as {
  describeRuns(runs: readonly Run[]): string;
  keepRun(path: string, run: Run): void;
  readResults(folder: string): Pick<Run, 'passed' | 'failed'>;
  readRuns(path: string): Run[];
};

const run = (over: Partial<Run> = {}): Run => ({
  startedAt: '2026-11-30T20:00:00.000Z',
  seconds: 605,
  busy: false,
  commit: 'abc',
  node: 'v24.22.3',
  green: true,
  passed: 1000,
  failed: [],
  ...over,
});

it('runs that are added to the record are read back unchanged', () => {
  const path = join(temporaryFolder(), 'below', 'runs.jsonl');
  expect(readRuns(path)).toEqual([]);
  const runs = [run(), run({ green: false, failed: ['main: unit/a: one\ntwo'] })];
  for (const one of runs) keepRun(path, one);
  expect(readRuns(path)).toEqual(runs);
});

it('failures are named by suite, file and test, and include files that fail outside of their tests', () => {
  const folder = temporaryFolder();
  const tests = (...statuses: string[]) => statuses.map((status, i) => ({ status, fullName: `test ${i}` }));
  const file = (name: string, status: string, assertionResults: object[], message = '') => ({
    name: `/clone/dist/test/${name}.test.js`,
    status,
    message,
    assertionResults,
  });
  const main = [
    file('unit/a', 'passed', tests('passed', 'skipped')),
    file('fault/b', 'failed', tests('passed', 'failed')),
    file('unit/c', 'failed', tests('passed'), 'ENOTEMPTY: folder\n  at rm'),
  ];
  writeFileSync(join(folder, 'main.json'), JSON.stringify({ testResults: main }));
  const oldest = [file('short/loop', 'failed', tests('failed'))];
  writeFileSync(join(folder, 'oldest.json'), JSON.stringify({ testResults: oldest }));
  const { passed, failed } = readResults(folder);
  expect(passed).toBe(3);
  expect([...failed].sort()).toEqual([
    'main: fault/b: test 1',
    'main: unit/c: ENOTEMPTY: folder',
    'oldest: short/loop: test 0',
  ]);
});

it('the table has a row for each run, the number of green runs, and each failure with its count', () => {
  const text = describeRuns([
    run(),
    run({ busy: true, seconds: 59.6, green: false, failed: ['main: b: x', 'main: a: y'] }),
    run({ busy: true, green: false, failed: ['main: a: y'] }),
  ]);
  expect(text.split('\n')).toEqual([
    '2026-11-30 20:00:00  10:05  idle  v24.22.3  green  1000 passed  0 failed',
    '2026-11-30 20:00:00  0:59   busy  v24.22.3  red    1000 passed  2 failed',
    '2026-11-30 20:00:00  10:05  busy  v24.22.3  red    1000 passed  1 failed',
    '',
    'green: 1 of 1 idle, 0 of 2 busy',
    '   2 x  main: a: y',
    '   1 x  main: b: x',
  ]);
  expect(describeRuns([])).toContain('no runs');
});
