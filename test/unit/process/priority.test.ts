import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const linux = process.platform === 'linux';
const module = new URL('../../../src/process/priority.js', import.meta.url).href;
/** Prints the line of `/proc` for each thread of a process that runs only when the system is idle. */
const program = `
  const { runOnlyWhenIdle } = await import('${module}');
  const { readdirSync, readFileSync } = await import('node:fs');
  runOnlyWhenIdle();
  const { Worker } = await import('node:worker_threads');
  await new Promise((resolve) => new Worker('', { eval: true }).once('online', resolve));
  console.log(JSON.stringify(readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/stat', 'utf8'))));
`;

/** A field of a line by its number in proc(5). The name, field 2, may hold spaces, so counting starts after it. */
const field = (line: string, number: number): number =>
  Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[number - 3]);

const schedIdle = 5;

describe.runIf(linux)('a process that runs only when the system is idle', () => {
  it('has every thread at nice 19, those started later too', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
    const threads = JSON.parse(stdout) as string[];
    expect(threads.length).toBeGreaterThan(4);
    for (const line of threads) expect(field(line, 19), line).toBe(19);
  });

  it.runIf(['/bin/chrt', '/usr/bin/chrt'].some(existsSync))(
    'has every thread in the scheduling policy for idle time',
    async () => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
      for (const line of JSON.parse(stdout) as string[]) expect(field(line, 41), line).toBe(schedIdle);
      expect(field(readFileSync('/proc/self/stat', 'utf8'), 41)).not.toBe(schedIdle);
    },
  );
});
