// Prepares the clone, then runs the lint and the tests.
//
//   npm test                            the lint, all tests, and the short tests on the oldest and the newest Node
//   npm test -- swap -t "the oldest"    arguments go to vitest, which runs those tests only; no lint
//   npm run test:long                   tests that take too long to run for every change
//   npm run coverage                    all tests on this Node, and a report of the lines they reached in .build/coverage
//
// If HONE_TEST_RESULTS is set to a folder, each suite writes its results there, as vitest's JSON (see repeat.mjs).

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bringNode } from './nodes.mjs';
import { pathWith } from './on-node.mjs';
import { prepare } from './prepare.mjs';
import { root, runNode, say } from './project.mjs';

const packages = join(root, 'node_modules');

/** Runs each linter. Ends the process if one of them fails. */
async function lint() {
  for (const [linter, args] of [
    [join(packages, '@biomejs/biome/bin/biome'), ['ci', '.']],
    [join(root, 'scripts/arrows.mjs'), []],
    [join(packages, '@bufbuild/buf/bin/buf'), ['lint']],
  ]) {
    const code = await runNode(linter, args);
    if (code !== 0) process.exit(code);
  }
}

/** Runs a suite of vitest.config.mjs on a Node. @returns whether it passed */
function runSuite(suite, args, binary = process.execPath) {
  const results = process.env.HONE_TEST_RESULTS;
  const reporters =
    results === undefined
      ? []
      : ['--reporter=default', '--reporter=json', `--outputFile=${join(results, `${suite}.json`)}`];
  const child = spawn(binary, [join(packages, 'vitest/vitest.mjs'), 'run', ...reporters, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: pathWith(binary), HONE_SUITE: suite },
  });
  // Ctrl-C in a terminal reaches both processes. A signal that reaches only this one is meant for both.
  const pass = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(signal, pass);
      resolve(code === 0);
    });
  });
}

/** Runs the short tests on another Node. @returns whether they passed */
async function runOn(use, suite) {
  const binary = await bringNode(use);
  if (binary === undefined) {
    say(
      `skipping the tests on the ${use} Node: the project cannot install it for ${process.platform} on ${process.arch}`,
    );
    return true;
  }
  say(`running the short tests on the ${use} Node ...`);
  return await runSuite(suite, [], binary);
}

await prepare('test');
const given = process.argv.slice(2);
const isLong = given[0] === '--long';
const args = isLong ? given.slice(1) : given;
let passed;
if (isLong) passed = await runSuite('long', args);
// With arguments, among them --coverage, vitest gets them.
else if (args.length > 0) passed = await runSuite('main', args);
else {
  await lint();
  // Each suite runs even if another has failed.
  const parts = [await runSuite('main', []), await runOn('oldest', 'oldest'), await runOn('newest', 'short')];
  passed = parts.every(Boolean);
}
process.exitCode = passed ? 0 : 1;
