// `npm run mutation`: changes the code in small ways, one at a time, and reports each change that no test notices.
//
//   npm run mutation            every area below, one after the other
//   npm run mutation -- gate    one area
//
// Stryker changes the compiled files in a copy of the clone, and the tests run against that copy. A change is only active
// in the thread that runs the test; workers and child processes always run the code as it is. So an area holds code that
// its tests call directly. Each area keeps its results in .build/mutation, and the next run only repeats those that an
// edit of the code or of a test may have altered.

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepare } from './prepare.mjs';
import { fail, root, say } from './project.mjs';

/** The compiled files of each area. `vitest.config.mjs` lists the tests, under the same names. */
const areas = {
  gate: [
    'dist/src/gate/checks/*.js',
    'dist/src/gate/{finite,repetition,sequential-test,settings,statistics,verdict}.js',
  ],
  reward: ['dist/src/reward/*.js'],
  guard: ['dist/src/learner/round/guard.js'],
  autodiff: ['dist/src/autodiff/**/*.js'],
  objective: ['dist/src/learner/objective.js'],
};

/** Everything that the tests of the areas read. Stryker copies nothing else. */
const copied = ['dist', 'models', 'package.json', 'test', 'vitest.config.mjs'];

async function mutate(area) {
  // Stryker is a package of the tests: it can only be loaded after `prepare`.
  const { Stryker } = await import('@stryker-mutator/core');
  const folder = join(root, '.build/mutation');
  mkdirSync(folder, { recursive: true });
  const report = join(folder, `${area}.json`);
  process.env.HONE_SUITE = `mutation-${area}`;
  await new Stryker({
    mutate: areas[area],
    ignorePatterns: ['/*', ...copied.map((name) => `!/${name}`)],
    tempDirName: '.build/mutation/copy',
    testRunner: 'vitest',
    vitest: { configFile: 'vitest.config.mjs', related: false },
    plugins: ['@stryker-mutator/vitest-runner'],
    coverageAnalysis: 'perTest',
    // The compiler has checked the types already; what it wrote are plain JavaScript files.
    disableTypeChecks: false,
    // The text of a message is no behaviour.
    mutator: { excludedMutations: ['StringLiteral'] },
    concurrency: 1,
    timeoutMS: 20_000,
    incremental: true,
    incrementalFile: join(folder, `${area}-incremental.json`),
    reporters: ['clear-text', 'html', 'json'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
    htmlReporter: { fileName: join(folder, `${area}.html`) },
    jsonReporter: { fileName: report },
    allowConsoleColors: false,
  }).runMutationTest();
  return scoreOf(report);
}

/** How many of the changes a test noticed. A change that makes a test run without end counts as noticed. */
function scoreOf(report) {
  const { files } = JSON.parse(readFileSync(report, 'utf8'));
  const statuses = Object.values(files).flatMap(({ mutants }) => mutants.map(({ status }) => status));
  const count = (...wanted) => statuses.filter((status) => wanted.includes(status)).length;
  const noticed = count('Killed', 'Timeout');
  return { noticed, changes: noticed + count('Survived', 'NoCoverage') };
}

const given = process.argv.slice(2);
const unknown = given.filter((area) => !(area in areas));
if (unknown.length > 0) fail(`no area is called ${unknown[0]}; the areas are ${Object.keys(areas).join(', ')}`);
await prepare('test');
const lines = [];
for (const area of given.length > 0 ? given : Object.keys(areas)) {
  say(`changing ${area} ...`);
  const { noticed, changes } = await mutate(area);
  lines.push(
    `${area}: the tests noticed ${noticed} of ${changes} changes (${Math.round((100 * noticed) / changes)} %)`,
  );
}
process.stdout.write(`${lines.join('\n')}\nEach report is a page in .build/mutation\n`);
