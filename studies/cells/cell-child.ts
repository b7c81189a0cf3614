/** A child process that computes one cell with the `runCell` of a module. It ends when its parent ends. */

import type { CellModule, CellTask } from './cells.js';

async function compute({ module, input }: CellTask): Promise<unknown> {
  const { runCell } = (await import(module)) as CellModule<unknown, unknown>;
  return runCell(input);
}

process.once('disconnect', () => process.exit(1));
process.once('message', (task: CellTask) => {
  compute(task).then(
    (result) => process.send?.({ result }),
    (error: unknown) =>
      process.send?.({ type: 'failed', message: error instanceof Error ? error.stack : String(error) }),
  );
});
