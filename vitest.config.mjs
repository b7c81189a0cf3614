import { defineConfig } from 'vitest/config';

// Tests run on the compiler's output, so that workers and child processes are the files that ship.
const shared = {
  dir: 'dist',
  testTimeout: 180_000,
  hookTimeout: 180_000,
  pool: 'forks',
  // Node keeps what it has compiled: hundreds of processes are started, and load the same files.
  env: { NODE_COMPILE_CACHE: '.build/compile-cache' },
};

const files = (...places) => places.map((place) => `**/test/${place}.test.js`);
const long = '**/*.long.test.js';

/**
 * Tests with a real learner, which computes at the lowest priority: beside other busy tests it would not get its share of
 * a small machine. `unit/setup/suites.test.ts` knows which those are.
 */
export const withLearner = [
  'fault/{blow-up,clock,erasure,full-disk,kill,kill-storm,learner-process,learner-resume,torn-files}',
  'integration/{demo,digest-proof,loaded-code,loop,metrics,quantize,raters,versions}',
];

/** The tests that `scripts/mutation.mjs` runs for each area. They call the code of the area in the thread of the test. */
const mutationTests = {
  gate: ['unit/gate/{finite,sequential-test,settings,statistics,verdict}', 'property/gate'],
  reward: ['unit/reward/{fold,preferences,settings}', 'property/reward-fold'],
  guard: ['unit/learner/round/guard{,-figures}'],
  autodiff: ['unit/autodiff/*'],
  objective: ['unit/learner/engine/{micro-batches,onnx-engine,oracle-pytorch}', 'unit/learner/fixed-points'],
};
const mutationSuites = Object.fromEntries(
  Object.entries(mutationTests).map(([area, tests]) => [
    `mutation-${area}`,
    [{ name: `mutation-${area}`, include: files(...tests), exclude: [long] }],
  ]),
);

/** What is run together, by the value of HONE_SUITE: see `scripts/test.mjs`. */
const suites = {
  /** What every change must pass. */
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
  /** The whole way once, on other Nodes than the tests' own. */
  short: [{ name: 'short', include: files('short/*'), maxWorkers: 1 }],
  /** The same, and what touches Node's SQLite: on the oldest Node. */
  oldest: [{ name: 'oldest', include: files('short/*', 'unit/sqlite/*', 'unit/replay/*'), maxWorkers: 1 }],
  ...mutationSuites,
  /** What takes too long for every change: the same promises as in `main`, for longer. */
  long: [{ name: 'long', include: [long], maxWorkers: 1 }],
};

const suite = process.env.HONE_SUITE ?? 'main';
if (!(suite in suites)) throw new Error(`HONE_SUITE is one of ${Object.keys(suites).join(', ')}, not ${suite}`);

// Only what runs in the test's own thread is counted: worker threads and child processes are not.
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
