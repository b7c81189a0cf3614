import { defineConfig } from 'vitest/config';

// Tests run on the compiler's output, so that workers and child processes are the files that ship.
export default defineConfig({
  test: {
    dir: 'dist',
    include: ['**/test/**/*.test.js'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    // The learner runs at the lowest priority: beside other busy tests it would not get its share of a small machine.
    fileParallelism: false,
  },
});
