/**
 * Records the modules that a program loads. It is preloaded with `--import`, by `NODE_OPTIONS`, so that threads and child
 * processes have it too. In the folder that HONE_TEST_NOTES names, each thread notes in order the modules that it loads,
 * `ready` when the server is ready, and `child` when it starts a child process.
 */

import diagnostics from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const folder = process.env.HONE_TEST_NOTES ?? '';
const note = (what: string): void => {
  const line = JSON.stringify({ what, priority: getPriority(), program: process.argv[1] ?? '' });
  appendFileSync(join(folder, `${process.pid}-${threadId}`), `${line}\n`);
};

registerHooks({
  load(url, context, next) {
    note(url);
    return next(url, context);
  },
});
diagnostics.subscribe('child_process', () => note('child'));
const send = process.send?.bind(process);
if (send !== undefined) {
  process.send = ((message: { readonly type?: string }, ...rest: []) => {
    if (message?.type === 'ready') note('ready');
    return send(message, ...rest);
  }) as NonNullable<typeof process.send>;
}
