import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acquireLockFile } from '../../../src/process/lock-file.js';
import { temporaryFolder } from '../../support/folders.js';
import { startProcess } from '../../support/processes.js';

test('a second lock on a directory is refused until the first is released, which leaves no file', () => {
  const path = join(temporaryFolder(), 'learner.lock');
  const lock = acquireLockFile(path);
  expect(() => acquireLockFile(path)).toThrow(
    expect.objectContaining({ code: 'DATA_DIRECTORY_LOCKED', message: expect.stringContaining(`${process.pid}`) }),
  );
  lock.release();
  lock.release();
  expect(existsSync(path)).toBe(false);
  acquireLockFile(path).release();
  expect(readdirSync(join(path, '..'))).toEqual([]);
});

test('the lock of a dead process is taken over', async () => {
  const path = join(temporaryFolder(), 'learner.lock');
  const child = startProcess(process.execPath, ['-e', '']);
  await once(child, 'exit');
  writeFileSync(path, JSON.stringify({ pid: child.pid, startedAt: '1' }));
  acquireLockFile(path).release();
});

test.runIf(process.platform === 'linux')(
  'the lock of a dead process is taken over even if its process id is in use again',
  () => {
    const path = join(temporaryFolder(), 'learner.lock');
    acquireLockFile(path);
    const { pid, startedAt } = JSON.parse(readFileSync(path, 'utf8'));
    expect(startedAt).toMatch(/^\d+$/);
    writeFileSync(path, JSON.stringify({ pid, startedAt: `${Number(startedAt) - 1}` }));
    acquireLockFile(path).release();
  },
);

test('a lock file that cannot be parsed is taken over', () => {
  const path = join(temporaryFolder(), 'learner.lock');
  writeFileSync(path, '{"pid":');
  acquireLockFile(path).release();
});

test('release changes nothing if another process has taken the lock over', () => {
  const path = join(temporaryFolder(), 'learner.lock');
  const lock = acquireLockFile(path);
  writeFileSync(path, '{"pid":1}');
  lock.release();
  expect(readFileSync(path, 'utf8')).toBe('{"pid":1}');
});
