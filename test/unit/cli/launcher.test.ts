/** The entry of the `hone` command reports a Node that is too old in one line. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stop, transform } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';
import { projectFolder } from '../../support/server.js';

const files = ['cli/hone.cjs', 'cli/needed-node.cjs'];
const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);

/** A package whose command prints its arguments. */
let folder: string;
// The process of esbuild would run as long as this one.
afterAll(() => stop());
beforeAll(() => {
  folder = temporaryFolder();
  for (const path of ['cli', 'dist/cli']) mkdirSync(join(folder, path), { recursive: true });
  for (const file of files) copyFileSync(join(projectFolder, file), join(folder, file));
});

function launch(needed: string, ...args: string[]): { code: number | null; out: string; err: string } {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', engines: { node: needed } }));
  const run = spawnSync(process.execPath, [join(folder, 'cli/hone.cjs'), ...args], { encoding: 'utf8' });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

const build = (): void => {
  writeFileSync(join(folder, 'dist/cli/main.js'), 'console.log(process.argv.slice(2).join());\n');
};

describe('hone', () => {
  it('explains how to build the clone if it is not built', () => {
    const { code, out, err } = launch('>=1.0.0', 'status');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('npm run build');
  });

  it.each([
    '>=1.0.0',
    `>=${major}.0.0`,
    `>=${major}.${minor}.${patch}`,
    `^${major}.${minor}.${patch}`,
    `^${major - 2}.0.0 || >=${major}.0.0`,
    `^${major}.0.0 || >=${major + 2}.0.0`,
  ])('runs on this Node if package.json requires %s', (needed) => {
    build();
    expect(launch(needed, 'status', '--json')).toEqual({ code: 0, out: 'status,--json\n', err: '' });
  });

  it.each([
    [`>=${major + 1}.0.0`, `Node ${major + 1}.0 or newer`],
    [`>=${major}.${minor}.${patch + 1}`, `Node ${major}.${minor} or newer`],
    [`^${major - 1}.0.0`, `Node ${major - 1}.0 or a later ${major - 1}`],
    [
      `^${major - 1}.5.0 || >=${major + 1}.0.0`,
      `Node ${major - 1}.5 or a later ${major - 1}, or Node ${major + 1}.0 or newer`,
    ],
  ])('reports in one line that Hone needs %s', (needed, words) => {
    build();
    const { code, out, err } = launch(needed, 'status');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toBe(
      `hone: this is Node ${process.versions.node}, Hone needs ${words}; install it from https://nodejs.org.\n`,
    );
  });

  it('ends with code 78 if a server was to be started on a Node that is too old', () => {
    expect(launch(`>=${major + 1}.0.0`, 'serve').code).toBe(78);
  });
});

it('package.json names cli/hone.cjs as its command, and requires Node in the form that cli/needed-node.cjs reads', () => {
  const manifest = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')) as {
    bin: object;
    engines: { node: string };
  };
  expect(manifest.engines.node).toMatch(/^\^\d+\.\d+\.\d+ \|\| >=\d+\.\d+\.\d+$/);
  expect(manifest.bin).toEqual({ hone: 'cli/hone.cjs' });
});

it.each(files)('%s is JavaScript of 2015, which an old Node can run', async (file) => {
  const source = readFileSync(join(projectFolder, file), 'utf8');
  const lowered = await transform(source, { target: 'es2015', supported: { 'dynamic-import': true } });
  expect(lowered.code).toBe((await transform(source, { target: 'esnext' })).code);
  expect(source).not.toContain("'node:");
});
