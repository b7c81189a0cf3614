// What is kept of the runs of `npm test`, one line of JSON each, and what is said of them.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * @typedef {object} Run
 * @property {string} startedAt when it started, ISO 8601
 * @property {number} seconds how long it took
 * @property {boolean} busy whether a process beside it kept one core busy
 * @property {string} commit of the working tree; with a `+` where files had been changed since
 * @property {string} node version of the Node that ran the tests
 * @property {boolean} green whether it ended with code 0
 * @property {number} passed tests
 * @property {string[]} failed names of the tests, with the suite and the file
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

/** What vitest wrote into a folder, one file per suite, in JSON. */
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
      // A hook that fails, or a file that cannot be loaded, is no test.
      if (status === 'failed' && failed.length === 0) {
        results.failed.push(`${suite}: ${file}: ${String(message).split('\n')[0] || 'failed outside of its tests'}`);
      }
    }
  }
  return results;
}

/**
 * A table of runs, how many of them were green, and every failure with its count.
 * @param {Run[]} runs
 */
export function describeRuns(runs) {
  if (runs.length === 0) return 'no run of this commit is kept';
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
