/** The npm package in a project that has installed it. It uses the dependencies of the clone, so it needs no registry. */

import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerReady } from '../../server/parent-process.js';
import { temporaryFolder } from '../support/folders.js';
import { startProcess } from '../support/processes.js';
import { projectFolder } from '../support/server.js';
import { stagePackage } from '../support/staged-package.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  const pack = ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder];
  const staged = join(folder, 'staged');
  stagePackage(staged);
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: staged, encoding: 'utf8' })) as [
    { filename: string },
  ];
  const installed = join(folder, 'node_modules/hone-agent');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1']);
  linkPackages(join(projectFolder, 'node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, 'node_modules/.bin'));
  symlinkSync('../hone-agent/cli/hone.cjs', join(folder, 'node_modules/.bin/hone'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "an-app", "type": "module" }');
});

function linkPackages(from: string, to: string): void {
  for (const name of readdirSync(from).filter((one) => !one.startsWith('.'))) {
    if (name.startsWith('@')) {
      mkdirSync(join(to, name));
      linkPackages(join(from, name), join(to, name));
    } else symlinkSync(join(from, name), join(to, name));
  }
}

/** Runs `npx hone-agent` from the installed packages, never from a registry. */
function npx(...args: string[]): { code: number | null; out: string; err: string } {
  // The variables of an npm that runs these tests must not reach npx.
  const own = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const env = { ...Object.fromEntries(own), npm_config_offline: 'true', HONE_ADDRESS: '' };
  const run = spawnSync('npx', ['--no-install', 'hone-agent', ...args], { cwd: folder, env, encoding: 'utf8' });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

describe('npx hone-agent', () => {
  it('is the command of the package', () => {
    const { version } = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')) as { version: string };
    expect(npx('--version')).toMatchObject({ code: 0, out: `${version}\n` });
  });

  it('prints commands as the user has to type them in this project', () => {
    const { code, err } = npx('status', '--address', '127.0.0.1:1');
    expect(code).toBe(3);
    expect(err).toContain('Start a server with `npx hone-agent serve`');
  });
});

describe('its server', () => {
  let command: ChildProcess;
  let ready: ServerReady;
  beforeAll(async () => {
    const args = [
      'serve',
      '--port',
      '0',
      '--no-metrics',
      '--threads',
      '1',
      '--learner',
      'off',
      '--log-level',
      'error',
      '--json',
    ];
    command = startProcess(join(folder, 'node_modules/.bin/hone'), args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(command.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    ready = JSON.parse(line.toString()) as ServerReady;
  });
  afterAll(async () => {
    command.kill('SIGTERM');
    await once(command, 'exit');
  });

  it('serves the default policy to a program of the project', () => {
    const program = `
      import { connect } from 'hone-agent/client';
      const hone = await connect({ address: process.argv[2] });
      const { completions } = await hone.generate({ messages: [{ role: 'user', content: 'My nephew keeps losing my coat.' }], maxTokens: 8 });
      const outcomes = await hone.feedback({ generationId: completions[0].generationId, score: 1 });
      console.log(JSON.stringify({ text: completions[0].text, outcomes }));
      hone.close();`;
    writeFileSync(join(folder, 'app.js'), program);
    const run = spawnSync(process.execPath, ['app.js', ready.address], { cwd: folder, encoding: 'utf8' });
    expect(run.stderr).toBe('');
    const { text, outcomes } = JSON.parse(run.stdout) as { text: string; outcomes: object[] };
    expect(text.length).toBeGreaterThan(8);
    expect(outcomes).toMatchObject([{ status: 'stored' }]);
  });

  it('keeps its data in the folder of the project', () => {
    expect(ready.data).toBe(join(folder, 'data'));
  });
});
