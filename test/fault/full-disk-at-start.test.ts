/** A store that is opened while the disk is full. */

import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { canMount, onSmallDisk } from '../support/file-systems.js';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';

const script = fileURLToPath(new URL('../support/processes/full-disk-process.js', import.meta.url));

it.skipIf(!canMount).each(['stop', 'crash'])(
  'a store that is opened on a full disk after a %s serves reads, refuses writes, and goes on when there is room',
  async (ending) => {
    const folder = temporaryFolder();
    const [command = '', ...prefix] = onSmallDisk(folder, 4 * 2 ** 20);
    const child = startProcess(command, [...prefix, process.execPath, script, folder, ending], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [found] = await once(child, 'message');
    expect(found).toEqual({
      full: {
        generations: ['finished', 'finished', 'running'],
        scores: [0.5],
        counted: 3,
        exported: expect.any(Number),
        admitted: 'STORE_FULL',
        erased: 'STORE_FULL',
      },
      room: {
        generations: ['finished', 'finished', 'aborted'],
        erased: 1,
        counted: 2,
        read: [1],
      },
    });
  },
);
