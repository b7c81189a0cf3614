import { once } from 'node:events';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openDataDirectory } from '../../../../server/parts/data-directory.js';
import { temporaryFolder } from '../../../support/folders.js';
import { startProcess } from '../../../support/processes.js';

const module = new URL('../../../../server/parts/data-directory.js', import.meta.url).href;
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

/** A process that takes the lock, reports it, and waits to be killed. */
async function holder(path: string) {
  const script = `
    const { openDataDirectory } = await import(${JSON.stringify(module)});
    const record = { pid: process.pid, host: '127.0.0.1', port: 1, address: '127.0.0.1:1', startedAtMs: 0 };
    openDataDirectory(${JSON.stringify(path)}).writeRecord(record);
    // The lock survives a garbage collection.
    setTimeout(() => {
      gc();
      process.send('locked');
    });
    setInterval(() => {}, 1000);`;
  const child = startProcess(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return child;
}

describe('the data directory', () => {
  it('is readable only by its owner', async () => {
    const path = join(folder, 'new');
    openDataDirectory(path).close();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  it('is refused to a second server with the process id of the first, and free at once when that one is killed', async () => {
    const first = await holder(folder);
    expect(() => openDataDirectory(folder)).toThrow(
      expect.objectContaining({ code: 'DATA_DIRECTORY_LOCKED', message: expect.stringContaining(String(first.pid)) }),
    );
    first.kill('SIGKILL');
    await once(first, 'exit');
    const second = openDataDirectory(folder);
    second.close();
    openDataDirectory(folder).close();
  });

  it('is refused a second time within one process', () => {
    const first = openDataDirectory(folder);
    expect(() => openDataDirectory(folder)).toThrow(expect.objectContaining({ code: 'DATA_DIRECTORY_LOCKED' }));
    first.close();
  });

  it('is refused with INVALID_OPTIONS if it cannot be created', async () => {
    await writeFile(join(folder, 'file'), '');
    expect(() => openDataDirectory(join(folder, 'file', 'below'))).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  it.each([
    ['lock', 'no file'],
    ['replay.sqlite', 'no file'],
    ['events.jsonl', 'no file'],
  ])('is refused with the reason if a folder takes the place of %s', async (name, why) => {
    await mkdir(join(folder, name));
    expect(() => openDataDirectory(folder)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringMatching(`${name} is ${why}.*--data`) }),
    );
  });

  it('is refused with the remedy if the lock file is something else', async () => {
    await writeFile(join(folder, 'lock'), 'something else, of some length'.repeat(100));
    expect(() => openDataDirectory(folder)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('--data') }),
    );
  });
});
