/** The first file of the `hone` command: a Node that is too old is told so in one line. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectFolder } from '../../support/server.js';

const launcher = join(projectFolder, 'client/cli/hone.cjs');
const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);

/** A package of its own, with a command that prints its arguments. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hone-launcher-'));
  for (const path of ['client/cli', 'dist/client/cli']) mkdirSync(join(folder, path), { recursive: true });
  copyFileSync(launcher, join(folder, 'client/cli/hone.cjs'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function launch(needed: string, ...args: string[]): { code: number | null; out: string; err: string } {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', engines: { node: `>=${needed}` } }));
  const run = spawnSync(process.execPath, [join(folder, 'client/cli/hone.cjs'), ...args], { encoding: 'utf8' });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

const build = (): void => {
  writeFileSync(join(folder, 'dist/client/cli/main.js'), 'console.log(process.argv.slice(2).join());\n');
};

describe('hone', () => {
  it('without a build says how to make it', () => {
    const { code, out, err } = launch('1.0', 'status');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('npm run build');
  });

  it.each(['1.0', `${major}.0`, `${major}.${minor}`, `${major}.${minor}.${patch}`, `${major - 1}.99`, `${major}`])(
    'runs on this Node where %s is needed',
    (needed) => {
      build();
      expect(launch(needed, 'status', '--json')).toEqual({ code: 0, out: 'status,--json\n', err: '' });
    },
  );

  it.each([`${major + 1}.0`, `${major}.${minor + 1}`, `${major}.${minor}.${patch + 1}`])(
    'says in one line that %s is needed',
    (needed) => {
      build();
      const { code, out, err } = launch(needed, 'status');
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^hone: Node [\d.]+ or newer is needed, this is [\d.]+; .*\n$/);
      expect(err).toContain(`Node ${needed} or newer`);
      expect(err).toContain(`this is ${process.versions.node}`);
    },
  );

  it('serve ends as a server does that cannot run here', () => {
    expect(launch(`${major + 1}.0`, 'serve').code).toBe(78);
  });
});

it('what is needed is a plain bound in package.json', () => {
  const manifest = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')) as {
    bin: object;
    engines: { node: string };
  };
  expect(manifest.engines.node).toMatch(/^>=\d+(\.\d+){0,2}$/);
  expect(manifest.bin).toEqual({ hone: 'client/cli/hone.cjs' });
});

it('is written in a language that old Nodes read', async () => {
  const source = readFileSync(launcher, 'utf8');
  const lowered = await transform(source, { target: 'es2015', supported: { 'dynamic-import': true } });
  expect(lowered.code).toBe((await transform(source, { target: 'esnext' })).code);
  expect(source).not.toContain("'node:");
});
