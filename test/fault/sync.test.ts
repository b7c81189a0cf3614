/** An acknowledged score is on the disk: strace shows the calls that force it there. */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';

const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0;
const program = fileURLToPath(new URL('../support/processes/sync-process.js', import.meta.url));
const count = 60;

/** Runs a program and returns the names of the files that it forced to the disk, in order. */
async function syncsOf(args: readonly string[]): Promise<string[]> {
  const log = join(temporaryFolder(), 'log');
  const watched = ['-f', '-y', '-o', log, '-e', 'trace=fsync,fdatasync', process.execPath, ...args];
  const child = startProcess('strace', watched, { stdio: 'inherit' });
  expect(await once(child, 'exit')).toEqual([0, null]);
  // A line is `4711 fsync(21</tmp/folder/file>) = 0`; -y adds the name. An interrupted call takes two lines.
  const calls = readFileSync(log, 'utf8').matchAll(/^\d+ +(?:fsync|fdatasync)\(\d+<(.*?)>/gm);
  return [...calls].map(([, path = '']) => basename(path));
}

it('each score is forced to the disk before it is acknowledged, and scores that come together share a commit', async ({
  skip,
}) => {
  skip(!canTrace, 'strace is missing or may not trace');
  const folder = temporaryFolder();
  const syncs = await syncsOf([program, folder, String(count)]);
  const logged = (from: string, to: string) =>
    syncs.slice(syncs.indexOf(from), syncs.indexOf(to)).filter((name) => name === 'replay.sqlite-wal').length;
  for (const mark of ['opened', 'alone', 'together']) expect(syncs).toContain(mark);
  expect(logged('opened', 'alone')).toBeGreaterThanOrEqual(count);
  expect(logged('alone', 'together')).toBeGreaterThanOrEqual(1);
  expect(logged('alone', 'together')).toBeLessThan(count / 4);
});
