import { once } from 'node:events';
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openDataDirectory } from '../../../../server/parts/data-directory.js';
import type { HoneError } from '../../../../src/errors.js';
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
    (await openDataDirectory(${JSON.stringify(path)})).writeRecord(record);
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
    (await openDataDirectory(path)).close();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  it('is refused to a second server with the process id of the first, and free at once when that one is killed', async () => {
    const first = await holder(folder);
    await expect(openDataDirectory(folder)).rejects.toMatchObject({
      code: 'DATA_DIRECTORY_LOCKED',
      message: expect.stringContaining(String(first.pid)),
    });
    first.kill('SIGKILL');
    await once(first, 'exit');
    const second = await openDataDirectory(folder);
    second.close();
    (await openDataDirectory(folder)).close();
  });

  it('is refused a second time within one process', async () => {
    const first = await openDataDirectory(folder);
    await expect(openDataDirectory(folder)).rejects.toMatchObject({ code: 'DATA_DIRECTORY_LOCKED' });
    first.close();
  });

  it('is refused with INVALID_OPTIONS if it cannot be created', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(openDataDirectory(join(folder, 'file', 'below'))).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });

  it.each([
    ['lock', 'no file'],
    ['replay.sqlite', 'no file'],
    ['events.jsonl', 'no file'],
  ])('is refused with the reason if a folder takes the place of %s', async (name, why) => {
    await mkdir(join(folder, name));
    await expect(openDataDirectory(folder)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(`${name} is ${why}.*--data`),
    });
  });

  it.each([
    ['of some length', 'something else, of some length'.repeat(100)],
    ['that names a process', '{"pid":1,"startedAt":"2"}'],
  ])('is refused with the remedy if the lock file is something else, %s', async (_, content) => {
    await writeFile(join(folder, 'lock'), content);
    await expect(openDataDirectory(folder)).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/lock is no lock of this Hone.*delete the file/),
    });
    expect(await readFile(join(folder, 'lock'), 'utf8')).toBe(content);
    await rm(join(folder, 'lock'));
    (await openDataDirectory(folder)).close();
  });

  it.each(['deleted', 'replaced'])(
    'is refused to a second server if the lock was %s under the first one',
    async (how) => {
      const first = await holder(folder);
      await rm(join(folder, 'lock'));
      if (how === 'replaced') await writeFile(join(folder, 'lock'), '');
      await expect(openDataDirectory(folder)).rejects.toMatchObject({
        code: 'DATA_DIRECTORY_LOCKED',
        message: expect.stringMatching(`process id ${first.pid} that listens on 127.0.0.1:1;`),
      });
      first.kill('SIGKILL');
      await once(first, 'exit');
      (await openDataDirectory(folder)).close();
    },
  );

  it('is free in a copy that was made while a server works in the original', async () => {
    await holder(folder);
    const copy = join(temporaryFolder(), 'copy');
    await cp(folder, copy, { recursive: true });
    expect(await readFile(join(copy, 'server.json'), 'utf8')).toContain('"pid"');
    (await openDataDirectory(copy)).close();
  });

  it('is free if the process id of a killed server belongs to another process by now', async () => {
    const data = await openDataDirectory(folder);
    const { pid } = process;
    data.writeRecord({ pid, host: '127.0.0.1', port: 1, address: '127.0.0.1:1', metrics: null, startedAtMs: 0 });
    const written = await readFile(join(folder, 'server.json'), 'utf8');
    data.close();
    const earlier = written.replace(/"startedAt":"\d+"/, '"startedAt":"1"');
    expect(earlier).not.toBe(written);
    await writeFile(join(folder, 'server.json'), earlier);
    (await openDataDirectory(folder)).close();
    await writeFile(join(folder, 'server.json'), written);
    await expect(openDataDirectory(folder)).rejects.toMatchObject({ code: 'DATA_DIRECTORY_LOCKED' });
  });

  it.each([
    ['its lock is deleted', () => rm(join(folder, 'lock')), true],
    ['its lock is replaced', () => rename(join(folder, 'other'), join(folder, 'lock')), true],
    ['it is renamed', () => rename(folder, `${folder}-renamed`), false],
  ])('reports to its holder that %s', async (_, change, staysInPlace) => {
    await writeFile(join(folder, 'other'), '');
    const data = await openDataDirectory(folder);
    const lost = new Promise<HoneError>((resolve) => data.watch(resolve));
    expect(data.isInPlace()).toBe(true);
    await change();
    expect(await lost).toMatchObject({ code: 'DATA_DIRECTORY_LOST' });
    expect(data.isInPlace()).toBe(staysInPlace);
    data.close();
    if (!staysInPlace) await rename(`${folder}-renamed`, folder);
  });
});
