import { defineConfig } from 'vitest/config';

// Tests run on the compiler's output, so that workers and child processes are the files that ship.
export default defineConfig({
  test: {
    dir: 'dist',
    include: ['**/test/**/*.test.js'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
