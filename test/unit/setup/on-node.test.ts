/** If the machine's Node is too old, the scripts run on a Node that the project installs. */

import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { gone, startProcess } from '../../support/processes.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const { bringNode, nodes } = (await import(pathToFileURL(join(root, 'scripts/nodes.mjs')).href)) as {
  bringNode: (use: string) => Promise<string | undefined>;
  nodes: Record<string, Record<string, { package: string; version: string; integrity: string }>>;
};
const { isSupported, neededNode } = createRequire(import.meta.url)(join(root, 'cli/needed-node.cjs')) as {
  isSupported: (version: string) => boolean;
  neededNode: string;
};

describe('the Node that Hone needs', () => {
  it.each([
    ['20.20.2', false],
    ['22.17.1', false],
    ['22.18.0', true],
    ['22.23.5', true],
    ['23.11.1', false],
    ['24.0.0', true],
    ['24.22.3', true],
    ['26.12.1', true],
    ['100.0.0', true],
  ])('Node %s is supported: %s', (version, supported) => {
    expect(isSupported(version)).toBe(supported);
  });

  it('is described in words, and every Node that the project installs to run on is supported', () => {
    expect(neededNode).toBe('Node 22.18 or a later 22, or Node 24.0 or newer');
    for (const use of ['main', 'oldest', 'newest']) {
      for (const { version } of Object.values(nodes[use] ?? {})) expect(isSupported(version), version).toBe(true);
    }
    for (const { version } of Object.values(nodes.outdated ?? {})) expect(isSupported(version), version).toBe(false);
  });

  it('is pinned by its digest on each platform', () => {
    for (const platforms of Object.values(nodes)) {
      for (const { integrity } of Object.values(platforms)) expect(integrity).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
    }
  });
});

let outdated: string | undefined;
beforeAll(async () => {
  outdated = await bringNode('outdated');
});

/** Runs the echo program through the start script, started by a Node that is too old. */
function start(...args: string[]): ChildProcess {
  const program = ['--run', 'test/support/echo-process.js'];
  const child = startProcess(outdated as string, [join(root, 'scripts/start.mjs'), ...program, ...args], {
    stdio: 'pipe',
  });
  return child;
}

/** The line that test/support/echo-process.ts prints. */
interface Echo {
  readonly pid: number;
  readonly node: string;
  readonly arguments: readonly string[];
}

async function firstLine(child: ChildProcess): Promise<Echo> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line) as Echo;
}

it('the hone command refuses an older Node in one line', ({ skip }) => {
  if (outdated === undefined) skip('there is no older Node for this platform in the registry');
  const { status, stdout, stderr } = spawnSync(outdated as string, [join(root, 'cli/hone.cjs'), 'status'], {
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^hone: this is Node 20\.\d+\.\d+, Hone needs Node 22\.18 .*; .*\n$/);
});

describe('a script that an older Node starts', () => {
  it('runs on the Node of the project, with its arguments, and ends with its exit code', async ({ skip }) => {
    if (outdated === undefined) skip('there is no older Node for this platform in the registry');
    const child = start('end', '3', '--flag', 'two words');
    const exit = once(child, 'exit');
    const echo = await firstLine(child);
    expect(isSupported(echo.node)).toBe(true);
    expect(echo.arguments).toEqual(['3', '--flag', 'two words']);
    expect(await exit).toEqual([3, null]);
  });

  it('reads standard input', async ({ skip }) => {
    if (outdated === undefined) skip('there is no older Node for this platform in the registry');
    const child = start('read');
    let read = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      read += chunk.toString();
    });
    child.stdin?.end('some words');
    await once(child, 'close');
    expect(read).toMatch(/some words$/);
  });

  it('receives signals, and its end by a signal reaches the caller', async ({ skip }) => {
    if (outdated === undefined) skip('there is no older Node for this platform in the registry');
    const child = start('wait');
    await firstLine(child);
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exit).toEqual([7, null]);
    const dying = start('die');
    expect(await once(dying, 'exit')).toEqual([null, 'SIGKILL']);
  });

  it('ends when its parent is killed', async ({ skip }) => {
    if (outdated === undefined || process.platform !== 'linux') skip('this test needs /proc and an older Node');
    const child = start('wait');
    const { pid } = await firstLine(child);
    expect(pid).not.toBe(child.pid);
    child.kill('SIGKILL');
    await gone(pid);
  });
});
