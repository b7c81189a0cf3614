import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const linux = process.platform === 'linux';
const module = new URL('../../../src/process/priority.js', import.meta.url).href;
/** Of each thread of a process that has taken the lowest priority: its line in `/proc`. */
const program = `
  const { takeIdleTime } = await import('${module}');
  const { readdirSync, readFileSync } = await import('node:fs');
  takeIdleTime();
  const { Worker } = await import('node:worker_threads');
  await new Promise((resolve) => new Worker('', { eval: true }).once('online', resolve));
  console.log(JSON.stringify(readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/stat', 'utf8'))));
`;

/** Fields of proc(5) after the name, which may hold spaces: the third is the first. */
const field = (line: string, number: number): number =>
  Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[number - 3]);

const schedIdle = 5;

describe.runIf(linux)('a process at the lowest priority', () => {
  it('has no thread above it, and makes none', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
    const threads = JSON.parse(stdout) as string[];
    expect(threads.length).toBeGreaterThan(4);
    for (const line of threads) expect(field(line, 19), line).toBe(19);
  });

  it.runIf(['/bin/chrt', '/usr/bin/chrt'].some(existsSync))(
    'computes in idle time, where the system can tell it so',
    async () => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
      for (const line of JSON.parse(stdout) as string[]) expect(field(line, 41), line).toBe(schedIdle);
      expect(field(readFileSync('/proc/self/stat', 'utf8'), 41)).not.toBe(schedIdle);
    },
  );
});
