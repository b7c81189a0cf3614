// `npm test`: prepares the clone, runs the lint, then the tests; and where no arguments ask for some of them only, the
// short tests once more on the oldest Node that Hone runs on and on the newest.
//
//   npm test                            everything that a change must pass
//   npm test -- swap -t "the oldest"    arguments go to vitest: without the lint, some tests
//   npm run test:long                   what takes too long for every change
//
// HONE_TEST_RESULTS=<folder> has each part write its results there, as vitest's JSON (see repeat.mjs).

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bringNode } from './nodes.mjs';
import { pathWith } from './on-node.mjs';
import { prepare } from './prepare.mjs';
import { root, runNode, say } from './project.mjs';

const packages = join(root, 'node_modules');

/** Ends the process where a linter has something to say. */
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

/** Runs a suite of vitest.config.mjs on a Node; resolves to whether it passed. */
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
  // A terminal tells both of Ctrl-C; whoever tells this one alone means both, and waits for both.
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

/** The short tests on another Node than this one. */
async function runOn(use, suite) {
  const binary = await bringNode(use);
  if (binary === undefined) {
    say(`the ${use} Node cannot be brought along for ${process.platform} on ${process.arch}: its tests are skipped`);
    return true;
  }
  say(`the short tests on the ${use} Node ...`);
  return await runSuite(suite, [], binary);
}

await prepare('test');
const given = process.argv.slice(2);
const isLong = given[0] === '--long';
const args = isLong ? given.slice(1) : given;
let passed;
if (isLong) passed = await runSuite('long', args);
else if (args.length > 0) passed = await runSuite('main', args);
else {
  await lint();
  // All of them, whatever the others say.
  const parts = [await runSuite('main', []), await runOn('oldest', 'oldest'), await runOn('newest', 'short')];
  passed = parts.every(Boolean);
}
process.exitCode = passed ? 0 : 1;
