/** What is done when all tests of a file have ended: its processes end, and only then do its folders go. */

import { afterAll } from 'vitest';

const order = ['processes', 'folders'] as const;
const endings: Record<(typeof order)[number], () => unknown> = {
  processes: () => undefined,
  folders: () => undefined,
};

// What is registered first is called last: after the hooks of the file's own.
afterAll(async () => {
  for (const what of order) await endings[what]();
});

/** Says how the processes, or the folders, of a file end. */
export function atTheEnd(what: (typeof order)[number], end: () => unknown): void {
  endings[what] = end;
}
