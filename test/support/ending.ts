/** Cleans up after the tests of a file: first its processes end, then its folders are removed. */

import { afterAll } from 'vitest';

const order = ['processes', 'folders'] as const;
const endings: Record<(typeof order)[number], () => unknown> = {
  processes: () => undefined,
  folders: () => undefined,
};

// Hooks run in reverse order, so this one runs after those of the test file.
afterAll(async () => {
  for (const what of order) await endings[what]();
});

/** Registers how to end the processes, or to remove the folders, of a file. */
export function atTheEnd(what: (typeof order)[number], end: () => unknown): void {
  endings[what] = end;
}
