import { defineConfig } from 'vitest/config';

// Tests run on the compiler's output, so that workers and child processes are the files that ship.
const shared = {
  dir: 'dist',
  testTimeout: 180_000,
  hookTimeout: 180_000,
  pool: 'forks',
};

const files = (...folders) => folders.map((folder) => `**/test/${folder}/**/*.test.js`);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'parts',
          include: files('unit', 'property'),
          exclude: files('unit/policy'),
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'whole',
          include: files('unit/policy', 'integration', 'fault'),
          // A policy's turns go on while its caller waits for a core, and the learner runs at the lowest priority: beside
          // other busy tests it would not get its share of a small machine.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
