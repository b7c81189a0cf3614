import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The cache of the servers that the tests start is empty when the tests begin. Workers load this file too.
const cache = join(import.meta.dirname, '.build/test-cache');
if (process.env.VITEST_WORKER_ID === undefined) rmSync(cache, { recursive: true, force: true });

// Runs the tests on the compiler's output, so that workers and child processes are the files of the package.
const shared = {
  dir: 'dist',
  testTimeout: 180_000,
  hookTimeout: 180_000,
  pool: 'forks',
  // Node caches compiled code, because the tests start hundreds of processes that load the same files.
  env: { NODE_COMPILE_CACHE: '.build/compile-cache', HONE_CACHE: cache },
};

const files = (...places) => places.map((place) => `**/test/${place}.test.js`);
const long = '**/*.long.test.js';

/**
 * Tests with a real learner. It has the lowest priority, so beside other tests it would get no processor time on a small
 * machine. `unit/setup/suites.test.ts` checks that the list is complete.
 */
export const withLearner = [
  'fault/{blow-up,clock,erasure,full-disk,kill,kill-storm,learner-process,learner-resume,locked-store,lost-directory,torn-files}',
  'integration/{demo,digest-proof,earlier-data,loaded-code,loop,metrics,own-models,quantize,raters,versions}',
];

/** The tests that `scripts/mutation.mjs` runs for each area. They call the code of the area in the thread of the test. */
const mutationTests = {
  gate: ['unit/gate/{check-figures,sequential-figures,settings,statistics,verdict}'],
  reward: ['unit/reward/{fold,preferences,settings}'],
  guard: ['unit/learner/round/guard{,-figures}'],
  autodiff: ['unit/autodiff/*'],
  objective: [
    'unit/learner/objective',
    'unit/learner/engine/{micro-batches,onnx-engine,oracle-pytorch}',
    'unit/learner/fixed-points',
  ],
};
const mutationSuites = Object.fromEntries(
  Object.entries(mutationTests).map(([area, tests]) => [
    `mutation-${area}`,
    [{ name: `mutation-${area}`, include: files(...tests), exclude: [long] }],
  ]),
);

/** The suites by name. The environment variable HONE_SUITE chooses one, see `scripts/test.mjs`. */
const suites = {
  /** The tests that every change must pass. */
  main: [
    {
      name: 'parts',
      include: files('unit/**/*', 'property/*', 'integration/*', 'fault/*'),
      exclude: [...files(...withLearner), long],
      maxWorkers: 2,
      sequence: { groupOrder: 0 },
    },
    {
      name: 'learning',
      include: files(...withLearner),
      exclude: [long],
      maxWorkers: 1,
      sequence: { groupOrder: 1 },
    },
  ],
  /** The whole loop once, on other versions of Node. */
  short: [{ name: 'short', include: files('short/*'), maxWorkers: 1 }],
  /** The same and the tests of Node's SQLite, on the oldest version of Node. */
  oldest: [{ name: 'oldest', include: files('short/*', 'unit/sqlite/*', 'unit/replay/*'), maxWorkers: 1 }],
  ...mutationSuites,
  /** Tests that take too long for every change. They test the same promises as `main`, for a longer time. */
  long: [{ name: 'long', include: [long], maxWorkers: 1 }],
};

const suite = process.env.HONE_SUITE ?? 'main';
if (!(suite in suites)) throw new Error(`HONE_SUITE must be one of ${Object.keys(suites).join(', ')}, not ${suite}`);

// Coverage only counts code that runs in the thread of a test, not in worker threads and child processes.
const coverage = {
  provider: 'v8',
  include: ['dist/{cli,client,proto,server,src}/**/*.js'],
  exclude: ['dist/proto/generated/**'],
  reporter: ['text-summary', 'html'],
  reportsDirectory: '.build/coverage',
};

export default defineConfig({
  test: { coverage, projects: suites[suite].map((project) => ({ test: { ...shared, ...project } })) },
});
