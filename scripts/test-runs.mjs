// The record of test runs that `npm run test:repeat` keeps: one line of JSON for each run, and the table of them.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * @typedef {object} Run
 * @property {string} startedAt time of the start, ISO 8601
 * @property {number} seconds duration
 * @property {boolean} busy whether another process kept one core busy
 * @property {string} commit commit of the working tree, followed by `+` if files had changed since
 * @property {string} node version of the Node that ran the tests
 * @property {boolean} green whether the run ended with code 0
 * @property {number} passed number of tests that passed
 * @property {string[]} failed names of the tests that failed, with suite and file
 */

/** @returns {Run[]} */
export function readRuns(path) {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** @param {Run} run */
export function keepRun(path, run) {
  mkdirSync(dirname(path), { recursive: true });
  appendFileSync(path, `${JSON.stringify(run)}\n`);
}

/** Reads the results that vitest wrote into a folder, one JSON file for each suite. */
export function readResults(folder) {
  const results = { passed: 0, failed: [] };
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const { testResults = [] } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    const suite = name.slice(0, -'.json'.length);
    for (const { name: path, status, message, assertionResults } of testResults) {
      const file = /(?<=\/test\/).*(?=\.test\.js$)/.exec(path.replaceAll('\\', '/'))?.[0] ?? path;
      const failed = assertionResults.filter((test) => test.status === 'failed');
      results.passed += assertionResults.filter((test) => test.status === 'passed').length;
      results.failed.push(...failed.map((test) => `${suite}: ${file}: ${test.fullName}`));
      // A hook failed, or the file could not be loaded: then no test of the file is marked as failed.
      if (status === 'failed' && failed.length === 0) {
        results.failed.push(`${suite}: ${file}: ${String(message).split('\n')[0] || 'failed outside of its tests'}`);
      }
    }
  }
  return results;
}

/**
 * Describes runs as a table, followed by the number of green runs and a list of failed tests with their counts.
 * @param {Run[]} runs
 */
export function describeRuns(runs) {
  if (runs.length === 0) return 'no runs of this commit are recorded';
  const rows = runs.map(({ startedAt, seconds, busy, node, green, passed, failed }) => [
    startedAt.slice(0, 19).replace('T', ' '),
    `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`,
    busy ? 'busy' : 'idle',
    node,
    green ? 'green' : 'red',
    `${passed} passed`,
    `${failed.length} failed`,
  ]);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
  const counted = [false, true].map((busy) => {
    const those = runs.filter((run) => run.busy === busy);
    return `${those.filter(({ green }) => green).length} of ${those.length} ${busy ? 'busy' : 'idle'}`;
  });
  lines.push('', `green: ${counted.join(', ')}`);
  const counts = new Map();
  for (const name of runs.flatMap(({ failed }) => failed)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const failures = [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  return [...lines, ...failures.map(([name, count]) => `${String(count).padStart(4)} x  ${name}`)].join('\n');
}
